import StorageEngine

// The follower's part of a run. Its process has units of work of its own in flight; the records
// that it has received are taken in whatever becomes of the leader meanwhile.

extension SimulatedRun {
    /// A turn of the follower, now and then.
    func stepFollower() throws {
        guard let follower, !follower.needsCopy, Int.random(in: 0..<3, using: &audience) == 0
        else { return }
        switch Int.random(in: 0..<1000, using: &audience) {
        case 0..<250:
            if follower.batch == nil { try receive(follower) }
            if Bool.random(using: &audience) { try takeInAtOnce(follower) }
            try takeIn(follower)
        case 250..<550:
            let actor = EngineStepper.Actor.allCases.randomElement(using: &audience)
            if let actor, let unit = follower.stepper.take(actor) { follower.units.append(unit) }
        case 550..<750:
            let unit = follower.units.filter { !$0.isPerformed }.randomElement(using: &audience)
            if let unit { follower.stepper.perform(unit) }
        case 750..<950:
            let unit = follower.units.filter(\.isPerformed).randomElement(using: &audience)
            if let unit { try finish(unit, follower) }
        case 950..<990: try acknowledge(follower)
        case 990..<990 + max(2, workload.endWeight / 5): try endFollower(follower)
        default: follower.reader = nil
        }
    }

    /// Gets what the leader has for it.
    func receive(_ follower: SimulatedFollower) throws {
        try reportingFaults(of: "follower at .\(follower.horizon)") {
            guard let reader = try opened(follower),
                let batch = try reader.cursor.nextBatch()
            else { return }
            try batch.forEach { record in
                if let wrong = feed.check(record, behind: reader.last) {
                    throw fail(.wrongRead, "follower: \(wrong)")
                }
                reader.last = record.position.sequence
            }
            follower.batch = batch
            hash.add(Int(batch.position.sequence))
        } onFault: {
            follower.reader = nil
        }
    }

    /// Its cursor at the leader; `nil` when it has none and cannot get one now.
    private func opened(_ follower: SimulatedFollower) throws -> FeedCursorBox? {
        if let reader = follower.reader { return reader }
        let start = follower.last
        guard follower.writes.isEmpty, follower.stepper.isAtCommitBoundary,
            start.sequence <= stepper.feedLimit(.wal) || start.sequence > engine.lastSequence
        else { return nil }
        do throws(EngineError) {
            let cursor = try engine.changeCursor(after: start, upTo: follower.horizon)
            follower.reader = FeedCursorBox(cursor)
        } catch {
            try turnBack(follower, from: start, error)
            return nil
        }
        guard isHere(start) else {
            throw fail(.wrongRead, "follower: \(start) is of a history that was lost")
        }
        tally.add("follower", "connections")
        return follower.reader
    }

    /// The follower cannot go on from where it is: that must be so.
    private func turnBack(
        _ follower: SimulatedFollower,
        from start: Position,
        _ error: EngineError
    ) throws {
        switch error.code {
        case .ahead where start.sequence > engine.lastSequence,
            .diverged where !isHere(start) || feed.entry(at: start.sequence)?.position == nil:
            guard follower.horizon < .disk else {
                throw fail(.ackedWriteLost, "follower: what it has is gone at the leader: \(error)")
            }
            tally.sometimes(error.code == .ahead ? .followerAhead : .followerDiverged)
            try cutBack(follower)
        case .trimmed where start.sequence < follower.slot.place?.sequence ?? 0:
            follower.needsCopy = true
        default: throw error
        }
        tally.add("follower", "turned back: \(error.code.rawValue)")
    }

    /// Takes in what was received, unless something is in the way.
    private func takeInAtOnce(_ follower: SimulatedFollower) throws {
        guard let batch = follower.batch else { return }
        do throws(EngineError) {
            guard try follower.stepper.applyAtOnce(batch) else {
                return tally.add("follower", "not at once")
            }
        } catch {
            throw fail("the follower refuses what comes next: \(error)")
        }
        let count = follower.line.count
        follower.note(batch, through: batch.position.sequence)
        follower.batch = nil
        follower.acks.append(
            Ack(
                position: follower.fileSystem.traceEnd,
                sequence: follower.last.sequence,
                point: .wal
            )
        )
        tally.add("follower", "records at once", follower.line.count - count)
    }

    /// Begins to take in what was received.
    private func takeIn(_ follower: SimulatedFollower) throws {
        guard let batch = follower.batch, follower.stepper.canTake(batch) else { return }
        let ack: AckPoint = Bool.random(using: &audience) ? .wal : .disk
        let taken: (writes: [EngineStepper.Write], end: UInt64)
        do throws(EngineError) {
            taken = try follower.stepper.submit(batch, ack: ack)
        } catch {
            throw fail("the follower refuses what comes next: \(error)")
        }
        guard !taken.writes.isEmpty else {
            follower.batch = nil
            return
        }
        follower.note(batch, through: taken.end)
        follower.writes = taken.writes
        tally.add("follower", "records", taken.writes.count)
    }

    func finish(_ unit: EngineStepper.Unit, _ follower: SimulatedFollower) throws {
        follower.stepper.finish(unit)
        follower.units.removeAll { $0 === unit }
        try settle(follower)
    }

    private func settle(_ follower: SimulatedFollower) throws {
        var left: [EngineStepper.Write] = []
        for write in follower.writes {
            switch follower.stepper.outcome(of: write) {
            case nil: left.append(write)
            case .failed(let error): throw fail("the follower's write failed: \(error)")
            case .acknowledged(let sequence):
                guard write.position == follower.place(upTo: sequence) else {
                    throw fail("the follower has another log hash at \(sequence)")
                }
                follower.acks.append(
                    Ack(
                        position: follower.fileSystem.traceEnd,
                        sequence: sequence,
                        point: write.ack
                    )
                )
            }
        }
        follower.writes = left
    }

    /// Tells the leader what is on disk here.
    private func acknowledge(_ follower: SimulatedFollower) throws {
        let onDisk = follower.floor(.disk, at: follower.fileSystem.traceEnd)
        guard let place = follower.place(upTo: onDisk), isHere(place) else { return }
        try acknowledge(place, follower.slot)
    }

    /// Works until nothing is in flight at the follower.
    func drain(_ follower: SimulatedFollower) throws {
        var rounds = 0
        while !follower.units.isEmpty || !follower.writes.isEmpty || !follower.stepper.isIdle {
            rounds += 1
            guard rounds < 20_000 else { throw fail(.hang, "the follower never settles") }
            for unit in follower.units {
                if !unit.isPerformed { follower.stepper.perform(unit) }
                try finish(unit, follower)
            }
            for actor in EngineStepper.Actor.allCases {
                if let unit = follower.stepper.take(actor) { follower.units.append(unit) }
            }
            guard follower.units.isEmpty else { continue }
            clock.advance(by: 1_000_000)
            try settle(follower)
        }
    }
}
