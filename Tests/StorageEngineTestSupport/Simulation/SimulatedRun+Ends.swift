import StorageEngine

// How phases end, and what goes wrong in them.

extension SimulatedRun {
    /// Ends the run of this process, by kill or power cut, and goes on from what survives.
    func crash() throws {
        try checkTrace()
        let isKill = Bool.random(using: &generator)
        let policy: CrashPolicy = isKill ? .all : .random(using: &generator)
        let image = fileSystem.crashed(policy, using: &generator)
        image.space = SimulatedSpace()
        let last = acks.last { $0.point == (isKill ? .memory : .wal) }?.sequence ?? 0
        let floor = floor(policy == .all && !lostCache ? .wal : .disk, at: fileSystem.traceEnd)
        tally.add("totals", "crashes")
        tally.add("images", policy.name)
        fold(fileSystem)
        abandon()
        calls += fileSystem.recordedCalls
        endFaults()
        fileSystem = image
        prepare(image)
        try reopen("after a crash, \(policy)", floor: floor, isDurable: true)
        tally.sometimes(isKill ? .memoryWriteLost : .walWriteLost, engine.lastSequence < last)
    }

    func closeAndReopen() throws {
        if Bool.random(using: &generator), hasFaults { try recoverFromFaults() }
        fileSystem.capacity = .max
        try drain()
        snapshots.removeAll()
        let last = engine.lastSequence
        var failure: EngineError?
        let before = fileSystem.injectedFaultCount
        do throws(EngineError) { try engine.close() } catch { failure = error }
        noteFault(in: "close", since: before)
        if let failure {
            guard hasFaults else { throw fail("a close failed without a fault: \(failure)") }
            surface("close", failure)
        } else {
            acks.append(Ack(position: fileSystem.traceEnd, sequence: last, point: .disk))
        }
        try checkTrace()
        let floor = floor(lostCache ? .disk : .wal, at: fileSystem.traceEnd)
        abandon()
        fileSystem.forgetTrace()
        let wasFaulty = hasFaults
        try reopen("after a close", floor: floor, isDurable: failure == nil)
        tally.add("totals", "reopenings without a crash")
        guard failure == nil else {
            tally.sometimes(.reopenedAfterFault)
            return
        }
        guard engine.lastSequence == last, wasFaulty || engine.recovery.tornBytes == 0,
            wasFaulty || engine.recovery.rewrittenRecords == 0
        else {
            throw fail(
                .ackedWriteLost,
                "after a clean close at \(last): \(engine.lastSequence), \(engine.recovery)"
            )
        }
    }

    /// Whether the kernel has forgotten something that was written.
    private var lostCache: Bool {
        fileSystem.trace.contains { if case .failedSync(_, true) = $0 { true } else { false } }
    }

    /// Notes whether the unit of work that a fault hit ends here, before anybody was told.
    func noteCutShort() {
        faultWasCutShort =
            faultWasCutShort || units.contains { $0.isPerformed && $0.name == faultUnit }
    }

    /// Lets go of the engine and all that it does.
    private func abandon() {
        noteCutShort()
        snapshots.removeAll()
        units = []
        pending = []
        spans = []
    }

    /// Opens what is there now: everything up to `floor`, durable when `isDurable`.
    private func reopen(_ what: String, floor: UInt64, isDurable: Bool) throws {
        wasFull = false
        let start = fileSystem.traceEnd
        acks = isDurable ? [Ack(position: start, sequence: floor, point: .disk)] : []
        if !workload.isSwept { try openWithFault() }
        endFaults()
        tally.add("totals", "recoveries")
        engine = try openMeetingFault(generator.next()) {
            throw fail(.ackedWriteLost, "\(what): open failed: \($0)")
        }
        hasFaults = fileSystem.hasPlannedFaults
        try checkBounds(engine, what, floor: floor)
        tally.sometimes(.withdrawnWriteSurvived, model.isWithdrawn(engine.lastSequence))
        model.cut(to: engine.lastSequence)
        stepper = EngineStepper(engine)
        // What was recovered counts as durable from here on.
        acks.append(
            Ack(position: fileSystem.traceEnd, sequence: engine.lastSequence, point: .disk)
        )
        try check(engine.makeSnapshot(), what)
    }

    /// In seeds with faults, an opening that may fail; it leaves nothing worse than it was.
    private func openWithFault() throws {
        guard workload.faultWeight > 0, Int.random(in: 0..<3, using: &generator) == 0 else {
            return
        }
        endFaults()
        planFault()
        do throws(EngineError) {
            _ = try Self.open(fileSystem, workload, clock, generator.next())
        } catch {
            guard error.code == .io || error.code == .noSpace else {
                throw fail("an opening failed otherwise than by the fault: \(error)")
            }
            surface("open", error)
        }
    }

    func floor(_ point: AckPoint, at position: Int) -> UInt64 {
        acks.filter { $0.point >= point && $0.position <= position }.map(\.sequence).max() ?? 0
    }

    func fold(_ fileSystem: SimulatedFileSystem) {
        hash.add(Int(bitPattern: UInt(fileSystem.traceHash)))
    }

    // MARK: - Faults

    /// Ends the faults; unless a sync failed the store goes on as if nothing had happened.
    private func recoverFromFaults() throws {
        endFaults()
        try drain()
        guard hasFaults, !stepper.isPoisoned, !fileSystem.hasPlannedFaults else { return }
        // Whatever was put off is tried again.
        for _ in 0..<100 {
            clock.advance(by: 1_000_000_000)
            for actor in EngineStepper.Actor.allCases {
                if let unit = stepper.take(actor) { units.append(unit) }
            }
            try drain()
        }
        let changes = workload.changes(of: submitted, using: &generator)
        let write = submit(changes, .disk, to: stepper)
        pending.append(PendingWrite(write: write, changes: changes))
        let before = acks.count
        try drain()
        guard acks.count > before else {
            throw fail("the faults are over, and a write is refused still: \(lastFailure)")
        }
        tally.add("totals", "recoveries from faults without reopening")
    }

    func endFaults() {
        // The run's own fault stays until it has hit.
        if plan.fault != nil, fileSystem.injectedFaultCount == 0 { return }
        for fault in fileSystem.takeInjectedFaults() {
            let errno = fault.errno.map { " errno \($0)" } ?? " short"
            tally.add("errors injected", fault.call.rawValue + errno)
        }
        fileSystem.removeFaults()
        fileSystem.space = SimulatedSpace()
    }

    /// Plans that a call fails soon, or fills the disk for a while.
    func planFault() {
        hasFaults = true
        if Int.random(in: 0..<4, using: &generator) == 0 {
            if fileSystem.capacity < .max {
                fileSystem.capacity = .max
            } else {
                fillDisk()
            }
            return
        }
        fileSystem.inject(SimulatedFault(using: &generator, now: clock.monotonicNanoseconds))
    }

    private func fillDisk() {
        var space = SimulatedSpace()
        space.capacity = fileSystem.usedSpace + .random(in: 0...20_000, using: &generator)
        space.errno = Bool.random(using: &generator) ? SimulatedFault.full : SimulatedFault.quota
        space.allocatesLate = Int.random(in: 0..<4, using: &generator) == 0
        fileSystem.space = space
    }
}
