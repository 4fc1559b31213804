import StorageEngine

// What the run knows of SLOTS: at each position of a trace, what a crash there may leave of it.

extension SimulatedRun {
    var slots: [SimulatedSlot] {
        consumers.compactMap(\.slot) + (follower.map { [$0.slot] } ?? [])
    }

    /// Whether a slot may be made or dropped: that waits for a unit of work that writes SLOTS.
    var canChangeSlots: Bool { !units.contains { $0.name == "persistSlots" } }

    /// Makes or drops a slot; all of SLOTS is on disk then.
    func change(
        _ slot: SimulatedSlot,
        to place: Position?,
        _ body: () throws(EngineError) -> Void
    ) throws {
        let old = slot.place
        slot.note(place, at: fileSystem.traceEnd, time: clock.monotonicNanoseconds)
        do {
            try body()
        } catch {
            // It may be there after a restart.
            slot.note(old, at: fileSystem.traceEnd, time: clock.monotonicNanoseconds)
            throw error
        }
        for slot in slots { slot.noteDurable(before: slot.mark, at: fileSystem.traceEnd) }
    }

    /// Says how far a consumer is; nothing else moves its slot.
    func acknowledge(_ consumer: SimulatedConsumer) throws {
        guard let slot = consumer.slot, consumer.reader != nil else { return }
        try acknowledge(consumer.position, slot)
    }

    func acknowledge(_ place: Position, _ slot: SimulatedSlot) throws {
        guard let old = slot.place, place.sequence > old.sequence,
            place.sequence <= engine.lastSequence
        else { return }
        try engine.acknowledge(place, slot: slot.name)
        slot.note(place, at: fileSystem.traceEnd, time: clock.monotonicNanoseconds)
        tally.add("feed", "acknowledgements")
    }

    // MARK: - Units of work

    /// What is acknowledged is taken to be written a second later.
    func noteTaken(_ unit: EngineStepper.Unit?, by actor: EngineStepper.Actor) throws {
        guard actor == .slotKeeper else { return }
        guard unit?.name == "persistSlots" else {
            let time = clock.monotonicNanoseconds
            let isDue = canChangeSlots && !hasFaults && slots.contains { $0.isDue(at: time) }
            if isDue { throw fail("an acknowledgement is a second old, and is not written") }
            return
        }
        slotMarks = slots.map(\.mark)
    }

    /// What was written is on disk, unless a fault was in the way.
    func notePerformed(_ unit: EngineStepper.Unit) {
        guard unit.hasWrittenSlots else { return }
        for (slot, mark) in zip(slots, slotMarks) {
            slot.noteDurable(before: mark, at: fileSystem.traceEnd)
        }
        tally.add("feed", "slots written")
    }

    /// After a clean close everything that was acknowledged is on disk.
    func noteClosed() {
        for slot in slots { slot.noteDurable(before: slot.mark, at: fileSystem.traceEnd) }
    }

    // MARK: - Restarts

    /// Looks at the slots of a store that was opened again, and at who is behind them. The trace
    /// ended at `end` before, and begins at `start`; what is found in an image is all there is.
    func meetConsumersAgain(_ what: String, end: Int, start: Int, isImage: Bool) throws {
        for slot in slots {
            let found = engine.slots.first { $0.name == slot.name }?.position
            guard slot.possible(at: end).contains(found) else {
                throw fail(.ackedWriteLost, text(of: slot, found, slot.possible(at: end), what))
            }
            if isImage {
                slot.restart(with: found, at: start)
            } else {
                slot.note(found, at: start, time: clock.monotonicNanoseconds)
                slot.noteDurable(before: slot.mark, at: fileSystem.traceEnd)
            }
        }
        for consumer in consumers {
            guard let place = consumer.slot?.place else { continue }
            // What it has seen is lost, or it never heard that its slot was made.
            if !isHere(consumer.position) || place.sequence > consumer.position.sequence {
                if isHere(place) { consumer.move(to: place, in: model) }
                tally.add("feed", "consumers that went back to their slot")
            }
        }
    }

    private func text(
        of slot: SimulatedSlot,
        _ found: Position?,
        _ possible: [Position?],
        _ what: String
    ) -> String {
        let places = possible.map { $0.map { "\($0.sequence)" } ?? "none" }
        return "\(what): slot \(slot.name) is at \(found.map { "\($0.sequence)" } ?? "none"), and "
            + "must be at one of \(places.suffix(10))"
    }

    // MARK: - Images

    /// What consumers would find in a store that was opened from an image of a position.
    func checkFeed(of engine: Engine, at position: Int, _ what: String) throws {
        var feed = feed
        feed.cut(to: engine.lastSequence)
        try checkAll(of: engine, &feed, what)
        let known = engine.slots
        for slot in slots {
            let found = known.first { $0.name == slot.name }?.position
            let possible = slot.possible(at: position)
            guard possible.contains(found) else {
                throw fail(.ackedWriteLost, text(of: slot, found, possible, what))
            }
            guard let found else { continue }
            tally.add("feed", "slots found in images")
            try check(slot, at: found, of: engine, &feed, what)
        }
    }

    /// Reads whatever the log still has.
    private func checkAll(of engine: Engine, _ feed: inout FeedModel, _ what: String) throws {
        var start = Position.start
        do throws(EngineError) {
            _ = try engine.changeCursor(after: start)
        } catch {
            guard error.code == .trimmed, let oldest = error.sequence else { throw error }
            start = Position(sequence: oldest)
        }
        let last = try read(engine.changeCursor(after: start), countMax: .max, &feed, what)
        guard last == engine.lastSequence else {
            throw fail(.ackedWriteLost, "\(what): the feed ends at \(last)")
        }
    }

    /// Goes on from a slot, where that must be possible.
    private func check(
        _ slot: SimulatedSlot,
        at place: Position,
        of engine: Engine,
        _ feed: inout FeedModel,
        _ what: String
    ) throws {
        let cursor: ChangeCursor
        do throws(EngineError) {
            cursor = try engine.changeCursor(slot: slot.name)
        } catch {
            let isRight =
                switch error.code {
                case .ahead: place.sequence > engine.lastSequence
                case .diverged:
                    !feed.contains(place) || feed.entry(at: place.sequence)?.position == nil
                case .trimmed: !slot.isUnlimited
                default: false
                }
            guard isRight else { throw fail("\(what): slot \(slot.name) at \(place): \(error)") }
            tally.add("feed", "slots in images: \(error.code.rawValue)")
            return
        }
        guard place.sequence <= engine.lastSequence, feed.contains(place) else {
            throw fail(.wrongRead, "\(what): slot \(slot.name) at \(place), which was lost")
        }
        _ = try read(cursor, countMax: 50, &feed, "\(what), slot \(slot.name)")
    }

    /// Compares the records of a cursor with the model, and returns the last sequence.
    private func read(
        _ cursor: consuming ChangeCursor,
        countMax: Int,
        _ feed: inout FeedModel,
        _ what: String
    ) throws -> UInt64 {
        var last = cursor.position.sequence
        var count = 0
        while count < countMax, try cursor.next() {
            if let wrong = feed.check(cursor.record, behind: last) {
                throw fail(.wrongRead, "\(what): \(wrong)")
            }
            last = cursor.record.position.sequence
            count += 1
        }
        tally.add("feed", "records read from images", count)
        return last
    }
}
