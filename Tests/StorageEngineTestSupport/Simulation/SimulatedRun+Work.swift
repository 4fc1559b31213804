import StorageEngine

// The writes and the units of work of a phase.

extension SimulatedRun {
    func submit() {
        guard pending.count < workload.writesInFlight else { return }
        let changes = workload.changes(of: submitted, using: &generator)
        let ack = workload.ack(using: &generator)
        let write = submit(changes, ack, to: stepper)
        pending.append(PendingWrite(write: write, changes: changes))
        submitted += 1
        tally.add("totals", "writes")
        tally.sometimes(.writesStalled, stepper.isStalled)
    }

    func submit(
        _ changes: [ModelStore.Change],
        _ ack: AckPoint,
        to stepper: EngineStepper
    ) -> EngineStepper.Write {
        var batch = WriteBatch()
        do throws(EngineError) {
            for change in changes { try change.apply(to: &batch) }
        } catch {
            preconditionFailure("the workload keeps the limits: \(error)")
        }
        return stepper.submit(batch, ack: ack)
    }

    func take() throws {
        guard let actor = EngineStepper.Actor.allCases.randomElement(using: &generator),
            let unit = try take(actor)
        else { return }
        units.append(unit)
    }

    /// Takes a unit of work for an actor.
    func take(_ actor: EngineStepper.Actor) throws -> EngineStepper.Unit? {
        let unit = stepper.take(actor)
        try noteTaken(unit, by: actor)
        return unit
    }

    func performOne() throws {
        guard let unit = units.filter({ !$0.isPerformed }).randomElement(using: &generator) else {
            return
        }
        try perform(unit)
    }

    func finishOne() throws {
        guard let unit = units.filter(\.isPerformed).randomElement(using: &generator) else {
            return
        }
        try finish(unit)
    }

    func perform(_ unit: EngineStepper.Unit) throws {
        let start = fileSystem.traceEnd
        let faults = fileSystem.injectedFaultCount
        stepper.perform(unit)
        noteFault(in: unit.name, since: faults)
        notePerformed(unit)
        noteSequenced()
        let end = fileSystem.traceEnd
        if end > start { spans.append((start..<end, unit.name)) }
        noteCompany(of: unit)
        guard unit.name.hasPrefix("commit") || unit.name == "flush" else { return }
        // An append asks for no sync: not for itself, not for anybody else. (A file that begins an
        // epoch is made by the first append.)
        let operations = fileSystem.trace(from: start)
        let makesFile = operations.contains { if case .create = $0 { true } else { false } }
        let syncs = operations.contains {
            switch $0 {
            case .sync, .syncDirectory: true
            default: false
            }
        }
        if syncs, !makesFile { throw fail("\(unit.name) ran a sync") }
    }

    private func noteCompany(of unit: EngineStepper.Unit) {
        let others = Set(units.filter { $0 !== unit }.map(\.name))
        switch unit.name {
        case "rotate": tally.sometimes(.rotationDuringFlush, others.contains("flushIndex"))
        case "flushIndex": tally.sometimes(.flushDuringCompaction, others.contains("compact"))
        case "commit+append": tally.sometimes(.commitDuringSync, others.contains("sync"))
        default: break
        }
    }

    func finish(_ unit: EngineStepper.Unit) throws {
        stepper.finish(unit)
        if ["flushIndex", "compact", "move", "rotate"].contains(unit.name) {
            tally.add("units of work", unit.name)
            for index in snapshots.indices { snapshots[index].isOld = true }
        }
        units.removeAll { $0 === unit }
        wasPoisoned = wasPoisoned || stepper.isPoisoned
        try settle()
    }

    /// Puts what was sequenced into the model: it may survive from here on.
    private func noteSequenced() {
        let failed = pending.compactMap { entry in
            stepper.withdrawnSequence(of: entry.write).map {
                FeedModel.Entry(entry, at: Position(sequence: $0), isKnown: false)
            }
        }.sorted { $0.sequence < $1.sequence }
        model.addWithdrawn(failed.map { ($0.sequence, $0.changes) })
        feed.addWithdrawn(failed)
        var written: [FeedModel.Entry] = []
        for index in pending.indices where !pending[index].isModeled {
            guard let position = pending[index].write.position else { continue }
            model.add(pending[index].changes, at: position.sequence)
            pending[index].isModeled = true
            written.append(FeedModel.Entry(pending[index], at: position, isKnown: true))
        }
        feed.add(written.sorted { $0.sequence < $1.sequence })
        tally.sometimes(.groupOfWrites, written.count > 1)
    }

    private func settle() throws {
        for entry in pending {
            guard let outcome = stepper.outcome(of: entry.write) else { continue }
            pending.removeAll { $0.write === entry.write }
            switch outcome {
            case .acknowledged(let sequence):
                acks.append(
                    Ack(
                        position: fileSystem.traceEnd,
                        sequence: sequence,
                        point: entry.write.ack
                    )
                )
                hash.add(Int(sequence))
                tally.add("totals", "acknowledged writes")
                tally.sometimes(.recoveredFromFullDisk, wasFull && fileSystem.capacity == .max)
            case .failed(let error):
                hash.add(error.code.rawValue)
                try noteFailure(error)
            }
        }
    }

    private func noteFailure(_ error: EngineError) throws {
        guard hasFaults else { throw fail("a write failed without a fault: \(error)") }
        surface("write", error)
        lastFailure = "\(error)"
        switch error.code {
        case .noSpace:
            tally.sometimes(.refusedForSpace)
            wasFull = true
        case .indeterminate: tally.sometimes(.indeterminateWrite)
        case .poisoned: tally.sometimes(.poisoned)
        case .io: break
        default: throw fail("a write failed with another error than a fault may cause: \(error)")
        }
    }

    /// Works until nothing is in flight.
    func drain() throws {
        var rounds = 0
        while !units.isEmpty || !pending.isEmpty {
            rounds += 1
            guard rounds < 20_000 else {
                throw fail(.hang, "\(pending.count) writes are never settled")
            }
            for unit in units {
                if !unit.isPerformed { try perform(unit) }
                try finish(unit)
            }
            for actor in EngineStepper.Actor.allCases {
                if let unit = try take(actor) { units.append(unit) }
            }
            guard units.isEmpty else { continue }
            // Writers may be slowed down until some time; a poisoned store settles all at once.
            clock.advance(by: 1_000_000)
            try settle()
        }
    }
}

extension FeedModel.Entry {
    /// A write that was sequenced; its place is known unless its append failed.
    init(_ pending: SimulatedRun.PendingWrite, at position: Position, isKnown: Bool) {
        self.init(
            sequence: position.sequence,
            digest: pending.write.digest,
            changes: pending.changes,
            position: isKnown ? position : nil
        )
    }
}
