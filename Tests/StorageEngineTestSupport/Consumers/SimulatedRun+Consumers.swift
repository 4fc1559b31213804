import StorageEngine

// The consumers of a run's store.
//
// 1. What they do is drawn from numbers of its own (`audience`), so that the writers' work is that
//    of a run without them.
// 2. What a consumer has seen at its horizon survives: it counts as acknowledged at that point, so
//    that it is checked at every position of the trace (`FloorWatch`), and in every image.
// 3. A record is what was written behind the one before it, with the log hash that was told to the
//    writer, and the same operations. A filter leaves out nothing that it must not.
// 4. An error is right when the model says so: `ahead` and `diverged` when the store has lost what
//    the consumer has seen, `trimmed` when no slot within its limits keeps the log.

extension SimulatedRun {
    /// A turn of a consumer, now and then.
    func stepConsumers() throws {
        guard !consumers.isEmpty, Int.random(in: 0..<4, using: &audience) == 0,
            let consumer = consumers.randomElement(using: &audience)
        else { return }
        guard consumer.pauseCount == 0 else {
            consumer.pauseCount -= 1
            return
        }
        try reportingFaults(of: consumer.name) {
            try turn(of: consumer)
        } onFault: {
            consumer.leave()
        }
    }

    private func turn(of consumer: SimulatedConsumer) throws {
        switch Int.random(in: 0..<100, using: &audience) {
        case 0..<60: try read(consumer, countMax: .random(in: 1...40, using: &audience))
        case 60..<75: try acknowledge(consumer)
        case 75..<80: consumer.pauseCount = .random(in: 1...100, using: &audience)
        case 80..<84:
            consumer.leave()
            tally.add("feed", "consumers started again")
        case 84..<92: wait(consumer)
        default: try read(consumer, countMax: .max)
        }
    }

    /// Does something that reads the log or writes slots: where faults were planned it may fail.
    func reportingFaults(
        of what: String,
        _ body: () throws -> Void,
        onFault: () -> Void
    ) throws {
        let before = fileSystem.injectedFaultCount
        defer { noteFault(in: "feed", since: before) }
        do {
            try body()
        } catch let error as EngineError {
            // A failed sync may take back what was to be read, before the engine knows of it.
            let isExpected =
                switch error.code {
                case .io, .noSpace, .poisoned, .indeterminate: true
                case .corruption:
                    workload.failedSyncReverts && fileSystem.injectedFaultCount > 0
                default: false
                }
            guard hasFaults, isExpected else { throw fail("\(what): \(error)") }
            surface("feed", error)
            onFault()
        }
    }

    // MARK: - Reading

    private func read(_ consumer: SimulatedConsumer, countMax: Int) throws {
        if let wait = consumer.wait {
            guard wait.isOver else { return }
            consumer.wait = nil
        }
        guard let reader = try opened(consumer) else { return }
        var left = countMax
        var hasMore = true
        while left > 0, hasMore {
            do throws(EngineError) {
                hasMore = try reader.cursor.next()
            } catch {
                guard error.code == .trimmed, isTrimmed(consumer, at: reader.last) else {
                    throw error
                }
                tally.add("feed", "cursors that lost the log")
                return consumer.leave()
            }
            if hasMore { try take(reader.cursor.record, consumer, reader) }
            left -= 1
        }
        try passOver(through: reader.cursor.position, consumer, reader)
        if !hasMore { try checkProgress(of: consumer, reader) }
        noteSeen(consumer)
    }

    private func take(
        _ record: ChangeRecord,
        _ consumer: SimulatedConsumer,
        _ reader: FeedCursorBox
    ) throws {
        let sequence = record.position.sequence
        let isNew = sequence > consumer.position.sequence
        if consumer.filter == .all {
            if let wrong = feed.check(record, behind: reader.last) {
                throw fail(.wrongRead, "\(consumer.name): \(wrong)")
            }
            reader.last = sequence
        } else {
            guard let entry = feed.entry(at: sequence),
                entry.changes.contains(where: { $0.touches(consumer.filter) })
            else { throw fail(.wrongRead, "\(consumer.name): got \(sequence), and must not") }
            try passOver(upTo: sequence, consumer, reader)
            reader.last = sequence
        }
        tally.add("feed", isNew ? "records" : "records that came again")
        hash.add(Int(sequence))
        guard isNew else { return }
        consumer.apply(record)
        consumer.position = record.position
    }

    /// Takes in how far a cursor has come.
    private func passOver(
        through place: Position,
        _ consumer: SimulatedConsumer,
        _ reader: FeedCursorBox
    ) throws {
        if consumer.filter != .all { try passOver(upTo: place.sequence + 1, consumer, reader) }
        guard place.sequence == reader.last || consumer.filter != .all, feed.contains(place) else {
            throw fail(.wrongRead, "\(consumer.name): is at \(place), which nobody wrote")
        }
        reader.last = place.sequence
        if place.sequence > consumer.position.sequence { consumer.position = place }
    }

    /// What a filter has left out before a sequence touches none of its keys.
    private func passOver(
        upTo end: UInt64,
        _ consumer: SimulatedConsumer,
        _ reader: FeedCursorBox
    ) throws {
        for entry in feed.entries[feed.index(after: reader.last)...] {
            guard entry.sequence < end else { return }
            guard !entry.changes.contains(where: { $0.touches(consumer.filter) }) else {
                throw fail(.wrongRead, "\(consumer.name): \(entry.sequence) was left out")
            }
            tally.add("feed", "records that a filter left out")
        }
    }

    /// A cursor without more has come as far as its horizon.
    private func checkProgress(
        of consumer: SimulatedConsumer,
        _ reader: FeedCursorBox
    ) throws {
        // What was not appended yet may be in no file and, for want of consumers, not in memory.
        let limit = stepper.feedLimit(max(consumer.horizon, .wal))
        guard reader.cursor.position.sequence >= limit else {
            throw fail(
                "\(consumer.name): there is no more behind \(reader.cursor.position.sequence), but "
                    + "\(limit) has reached its horizon"
            )
        }
    }

    /// What a consumer has seen at `.wal` or `.disk` must survive from here on.
    private func noteSeen(_ consumer: SimulatedConsumer) {
        guard consumer.horizon > .memory, consumer.position.sequence > 0 else { return }
        seen.append(
            Ack(
                position: fileSystem.traceEnd,
                sequence: consumer.position.sequence,
                point: consumer.horizon
            )
        )
    }

    private func wait(_ consumer: SimulatedConsumer) {
        guard let reader = consumer.reader, consumer.wait == nil else { return }
        consumer.wait = stepper.wait(after: reader.cursor.position.sequence, consumer.horizon)
        if consumer.wait != nil { tally.add("feed", "consumers that waited") }
    }

    // MARK: - Beginning

    /// Whether the log may be gone behind a sequence that a consumer is at.
    private func isTrimmed(_ consumer: SimulatedConsumer, at sequence: UInt64) -> Bool {
        guard let slot = consumer.slot, slot.isUnlimited else { return true }
        // It reads again what it has acknowledged.
        return sequence < slot.place?.sequence ?? 0
    }

    /// The consumer's cursor; `nil` when it has none and cannot get one now.
    private func opened(_ consumer: SimulatedConsumer) throws -> FeedCursorBox? {
        if let reader = consumer.reader { return reader }
        if let slot = consumer.slot, slot.place == nil, try !begin(consumer, slot) { return nil }
        let start = consumer.slot?.place ?? consumer.position
        // A place that is not appended yet would have to be waited for.
        guard start.sequence <= stepper.feedLimit(.wal) || start.sequence > engine.lastSequence
        else { return nil }
        do throws(EngineError) {
            let cursor =
                if let slot = consumer.slot {
                    try engine.changeCursor(
                        slot: slot.name,
                        upTo: consumer.horizon,
                        filter: consumer.filter
                    )
                } else {
                    try engine.changeCursor(
                        after: start,
                        upTo: consumer.horizon,
                        filter: consumer.filter
                    )
                }
            consumer.reader = FeedCursorBox(cursor)
        } catch {
            try turnBack(consumer, from: start, error)
            return nil
        }
        guard isHere(start) else {
            throw fail(.wrongRead, "\(consumer.name): \(start) is of a history that was lost")
        }
        tally.add("feed", "cursors opened")
        return consumer.reader
    }

    /// Whether a place is in the store's history.
    func isHere(_ place: Position) -> Bool {
        place.sequence <= engine.lastSequence && feed.contains(place)
    }

    /// A consumer cannot go on from its place: that must be so, and it begins elsewhere.
    private func turnBack(
        _ consumer: SimulatedConsumer,
        from start: Position,
        _ error: EngineError
    ) throws {
        switch error.code {
        case .ahead where start.sequence > engine.lastSequence,
            .diverged where !isHere(start) || feed.entry(at: start.sequence)?.position == nil:
            guard consumer.horizon < .disk else {
                throw fail(.ackedWriteLost, "\(consumer.name): what it saw is gone: \(error)")
            }
            tally.sometimes(error.code == .ahead ? .consumerAhead : .consumerDiverged)
        case .trimmed where isTrimmed(consumer, at: start.sequence):
            tally.sometimes(consumer.slot == nil ? .consumerTrimmed : .slotLost)
        default: throw error
        }
        tally.add("feed", "turned back: \(error.code.rawValue)")
        if let slot = consumer.slot {
            guard canChangeSlots else { return }
            try change(slot, to: nil) { () throws(EngineError) in try engine.dropSlot(slot.name) }
            consumer.leave()
        } else {
            let limit = min(stepper.feedLimit(consumer.horizon), stepper.feedLimit(.wal))
            let end = error.code == .trimmed ? limit : min(limit, consumer.position.sequence)
            // A bare sequence would not tell when its record is lost.
            let known = feed.entries[..<feed.index(after: end)].last { $0.position != nil }
            consumer.move(to: known?.position ?? .start, in: model)
        }
    }

    /// Makes a consumer's slot, with a snapshot; `false` when that cannot be now.
    private func begin(_ consumer: SimulatedConsumer, _ slot: SimulatedSlot) throws -> Bool {
        guard canChangeSlots, stepper.canSyncAll, !stepper.isPoisoned else { return false }
        var bootstrap: Engine.Bootstrap?
        try change(slot, to: try engine.position()) { () throws(EngineError) in
            bootstrap = try engine.bootstrap(slot: slot.name, limits: slot.limits)
        }
        guard let start = bootstrap, start.position.sequence == start.snapshot.sequence,
            start.position == slot.place, isHere(start.position)
        else { throw fail("a bootstrap at another place than its snapshot") }
        try check(start.snapshot, "a bootstrap")
        consumer.move(to: start.position, in: model)
        tally.add("feed", "bootstraps")
        return true
    }
}
