extension Engine {
    // MARK: - Slots

    /// The slots, sorted by name, with how far their consumers are behind.
    public var slots: [Slot] { surveyedSlots.slots }

    /// The slots, and what they were measured by.
    var surveyedSlots: (slots: [Slot], survey: SlotSurvey) {
        if let storedSlots {
            let survey = storedSlots.survey(end: readState.visibleSequence)
            return (survey.measured(storedSlots.slots), survey)
        }
        guard let pipeline else { preconditionFailure("what is not read-only has a pipeline") }
        let survey = pipeline.slotSurvey
        return (survey.measured(pipeline.slots.all), survey)
    }

    /// Makes a slot: from now on the log is kept for a consumer, within limits. Blocks until that
    /// is on disk, with all writes up to its position.
    ///
    /// - Parameters:
    ///   - name: 1 to 64 letters, digits, dots, dashes and underscores.
    ///   - position: What the consumer has; `nil` for everything written so far.
    ///   - limits: How much of the log it may keep.
    /// - Throws: ``EngineError`` with code `invalidArgument` when the name is invalid or in use;
    ///   `trimmed`, `diverged` or `ahead` when changes cannot be read from the position on;
    ///   `noSpace`, `io`, `indeterminate`, `poisoned`, `readOnly` or `closed`.
    public func createSlot(
        _ name: String,
        after position: Position? = nil,
        limits: SlotLimits = SlotLimits()
    ) throws(EngineError) {
        let pipeline = try writable()
        let start = if let position { position } else { try self.position() }
        // A place that a power loss took back would be of no use to anybody.
        if start.sequence <= readState.visibleSequence {
            try pipeline.wait(for: start.sequence, .disk)
        }
        _ = try FeedCursor.open(pipeline, after: start, horizon: .memory)
        try pipeline.slots.create(name, at: start, limits: limits, isBootstrapping: false)
    }

    /// Says that a consumer has everything up to a position. On disk a second later at most: after
    /// a crash it may be asked to take in again what it has acknowledged since.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when there is no such slot, or it is
    ///   farther; `ahead` when nothing was written there; `readOnly` or `closed`.
    public func acknowledge(_ position: Position, slot name: String) throws(EngineError) {
        let pipeline = try writable()
        let last = readState.visibleSequence
        guard position.sequence <= last else {
            throw EngineError(
                .ahead,
                "acknowledging \(position.sequence): the last write is \(last)",
                sequence: last
            )
        }
        try pipeline.slots.acknowledge(name, position)
    }

    /// Removes a slot: the log is not kept for it any more. Blocks until that is on disk.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when there is no such slot; `noSpace`,
    ///   `io`, `readOnly` or `closed`.
    public func dropSlot(_ name: String) throws(EngineError) {
        let pipeline = try writable()
        try pipeline.slots.drop(name)
        pipeline.maintenance.reviewLogs()
    }

    /// The writes behind what a slot's consumer has acknowledged, and those that come.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when there is no such slot; as
    ///   ``changes(after:upTo:filter:)``.
    public func changes(
        slot name: String,
        upTo horizon: AckPoint = .disk,
        filter: KeyRange = .all
    ) async throws(EngineError) -> Changes {
        try await changes(after: position(ofSlot: name), upTo: horizon, filter: filter)
    }

    /// The writes behind what a slot's consumer has acknowledged, for a thread of the caller's own.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when there is no such slot; as
    ///   ``changes(after:upTo:filter:)``.
    public func changeCursor(
        slot name: String,
        upTo horizon: AckPoint = .disk,
        filter: KeyRange = .all
    ) throws(EngineError) -> ChangeCursor {
        try changeCursor(after: position(ofSlot: name), upTo: horizon, filter: filter)
    }

    private func position(ofSlot name: String) throws(EngineError) -> Position {
        guard let slot = try writable().slots.slot(name) else { throw SlotKeeper.absent(name) }
        return slot.position
    }

    // MARK: - Bootstrap

    /// Where a new consumer begins: a slot, and the whole state at its position.
    public struct Bootstrap: Sendable {
        /// What the consumer takes in first.
        public let snapshot: Snapshot
        /// The snapshot's place in the history. Once the consumer has taken the snapshot in it
        /// acknowledges this position, and reads on from here: no write is missing, none comes
        /// twice.
        public let position: Position
    }

    /// Makes a slot for a new consumer, with an exact snapshot of what was written before it.
    /// Blocks until all of that is on disk: no power loss takes back what the consumer has.
    ///
    /// A consumer that fails before its first acknowledgement begins again with the same call: the
    /// slot then moves to a new snapshot. After the acknowledgement it goes on with
    /// ``changes(slot:upTo:filter:)``.
    ///
    /// - Throws: As ``createSlot(_:after:limits:)``.
    public func bootstrap(
        slot name: String,
        limits: SlotLimits = SlotLimits()
    ) throws(EngineError) -> Bootstrap {
        let pipeline = try writable()
        while true {
            let start = try pipeline.atCommitBoundary { position in
                Bootstrap(snapshot: Snapshot(self), position: position)
            }
            try pipeline.wait(for: start.position.sequence, .disk)
            do throws(EngineError) {
                try pipeline.slots.create(
                    name,
                    at: start.position,
                    limits: limits,
                    isBootstrapping: true
                )
                return start
            } catch {
                // So much was written meanwhile that the log behind the snapshot is gone.
                guard error.code == .trimmed else { throw error }
            }
        }
    }

    // MARK: - Log

    /// Lets go of the log up to a sequence, as far as recovery and slots do not need it: whole
    /// files are removed, shortly after this returns.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when a slot needs it; `readOnly` or
    ///   `closed`.
    public func trimLog(through sequence: UInt64) throws(EngineError) {
        let pipeline = try writable()
        try pipeline.slots.checkTrim(through: sequence)
        pipeline.maintenance.trimLogs(through: sequence, pipeline.catalog)
    }
}
