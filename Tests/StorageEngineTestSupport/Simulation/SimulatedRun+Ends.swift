import StorageEngine

// How phases end, and what goes wrong in them.

extension SimulatedRun {
    /// Ends the run of this process, by kill or power cut, and goes on from what survives.
    func crash() throws {
        try checkConsumers()
        try checkTrace()
        let isKill = Bool.random(using: &generator)
        // The kernel goes on: what it has not written yet a power cut may still take.
        let isPending = isKill && Bool.random(using: &generator)
        let policy: CrashPolicy = isKill ? .all : .random(using: &generator)
        let image =
            isPending ? fileSystem.killed() : fileSystem.crashed(policy, using: &generator)
        image.space = SimulatedSpace()
        let last = acks.last { $0.point == (isKill ? .memory : .wal) }?.sequence ?? 0
        let left = Survivors(
            end: fileSystem.traceEnd,
            floor: floor(policy == .all && !lostCache ? .wal : .disk, at: fileSystem.traceEnd),
            durable: isPending ? floor(.disk, at: fileSystem.traceEnd) : nil
        )
        tally.add("totals", "crashes")
        tally.add("images", isPending ? "all, not written yet" : policy.name)
        fold(fileSystem)
        abandon()
        calls += fileSystem.recordedCalls
        endFaults()
        fileSystem = image
        prepare(image)
        tally.sometimes(.killedWithPendingWrites, image.pendingCount > 0)
        try reopen("after a crash, \(policy)\(isPending ? ", pending" : "")", left)
        tally.sometimes(isKill ? .memoryWriteLost : .walWriteLost, engine.lastSequence < last)
    }

    func closeAndReopen() throws {
        if Bool.random(using: &generator), hasFaults { try recoverFromFaults() }
        fileSystem.capacity = .max
        try drain()
        try checkConsumers()
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
            noteClosed()
        }
        try checkTrace()
        let left = Survivors(
            end: fileSystem.traceEnd,
            floor: floor(lostCache ? .disk : .wal, at: fileSystem.traceEnd),
            durable: floor(.disk, at: fileSystem.traceEnd)
        )
        abandon()
        fileSystem.forgetTrace()
        let wasFaulty = hasFaults
        try reopen("after a close", left)
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
        for consumer in consumers { consumer.leave() }
        follower?.reader = nil
    }

    /// What the end of a process left.
    private struct Survivors {
        /// Where its trace ended.
        let end: Int
        /// What must be found.
        let floor: UInt64
        /// What of that is on disk; `nil` for all, where nothing else survived.
        let durable: UInt64?
    }

    /// Opens what is there now.
    private func reopen(_ what: String, _ left: Survivors) throws {
        wasFull = false
        let floor = left.floor
        let start = fileSystem.traceEnd
        acks = [
            Ack(position: start, sequence: left.durable ?? floor, point: .disk),
            Ack(position: start, sequence: floor, point: .wal),
        ]
        seen = []
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
        feed.cut(to: engine.lastSequence)
        stepper = EngineStepper(engine)
        // What was recovered counts as durable from here on.
        acks.append(
            Ack(position: fileSystem.traceEnd, sequence: engine.lastSequence, point: .disk)
        )
        try check(engine.makeSnapshot(), what)
        let isImage = left.durable == nil
        try meetConsumersAgain(what, end: left.end, start: start, isImage: isImage)
        guard let follower else { return }
        try copyFollower(follower)
        // Soon, before there is anything new; or later.
        if !follower.needsCopy, follower.batch == nil, Bool.random(using: &audience) {
            try receive(follower)
        }
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
        (acks + seen).filter { $0.point >= point && $0.position <= position }.map(\.sequence).max()
            ?? 0
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
                if let unit = try take(actor) { units.append(unit) }
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
        if Int.random(in: 0..<6, using: &generator) == 0 {
            // An append that reports an error although it is there, and cannot be cut back.
            for call in [SimulatedCall.write, .truncate] {
                var fault = SimulatedFault(call, errno: SimulatedFault.broken) {
                    $0.hasSuffix(".log")
                }
                fault.takesEffect = call == .write
                fileSystem.inject(fault)
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
