import StorageEngine

// What is required of a store that was found after a crash. An image holds what survived, all of it
// durable.

extension SimulatedRun {
    /// Opens what survived a crash, in every way that it must stand.
    func check(_ image: SimulatedFileSystem, _ what: String, floor: UInt64) throws {
        let clock = SimulatedClock(wall: self.clock.wallMilliseconds)
        image.space = SimulatedSpace()
        if Int.random(in: 0..<8, using: &chance) == 0 { try checkReadOnly(image, what) }
        let names = image.names(inDirectory: Self.directory, .cached) ?? []
        let first = try recover(image, clock, what, floor: floor, .everything)
        tally.sometimes(.crashBeforeTheFirstWrite, first.sequence == 0)
        tally.sometimes(.tornTailCut, first.report.tornBytes > 0)
        tally.sometimes(.tailRewritten, first.report.rewrittenRecords > 0)
        noteLeftovers(before: names, after: image)
        try crashInRecovery(of: image, clock, what, first.sequence, depth: 2)
        // Opened again: the same, and nothing is left to repair.
        let again = try recover(image, clock, what + ", opened again", floor: first.sequence, .scan)
        guard again.sequence == first.sequence, again.report.tornBytes == 0,
            again.report.rewrittenRecords == 0
        else { throw fail("\(what), opened again: \(first), and then \(again)") }
        if Int.random(in: 0..<4, using: &chance) == 0 {
            try checkDamaged(image.crashed(.all), clock, what, first.sequence)
        }
        try writeOn(image, clock, what, first.sequence)
        fold(image)
    }

    /// Crashes at a position of a recovery's own trace, with every policy or, deeper, with one.
    private func crashInRecovery(
        of image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ what: String,
        _ sequence: UInt64,
        depth: Int
    ) throws {
        var history = image.history()
        guard history.end > history.position else { return }
        let position = Int.random(in: history.position...history.end, using: &chance)
        history.advance(to: position)
        let isAll = depth == 2 && plan.samples != nil && !workload.isSwept
        let policies =
            isAll ? CrashPolicy.each(using: &chance) : [CrashPolicy.random(using: &chance)]
        for policy in policies {
            let what = "\(what), crash in the recovery at \(position), \(policy)"
            let left = history.crashed(policy, using: &chance)
            tally.add("images in recovery", policy.name)
            tally.add("totals", depth == 2 ? "double crashes" : "triple crashes")
            let found = try recover(left, clock, what, floor: sequence, .scan)
            guard found.sequence == sequence else {
                throw fail("\(what): \(sequence) was found before, and \(found.sequence) after")
            }
            tally.sometimes(.tornTailAfterDoubleCrash, found.report.tornBytes > 0)
            tally.sometimes(.rewriteAfterDoubleCrash, found.report.rewrittenRecords > 0)
            if depth > 1, Int.random(in: 0..<16, using: &chance) == 0 {
                try crashInRecovery(of: left, clock, what, sequence, depth: depth - 1)
            }
        }
    }

    /// What a store that was opened holds, and what opening it took.
    struct Found {
        let sequence: UInt64
        let report: RecoveryReport
    }

    /// Opens, compares everything with the model, and lets go.
    private func recover(
        _ image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ what: String,
        floor: UInt64,
        _ depth: ModelStore.Depth
    ) throws -> Found {
        let engine = try open(image, clock, what, floor: floor)
        try model.check(engine.makeSnapshot(), depth, "seed \(seed), \(what)")
        if depth == .everything, Int.random(in: 0..<4, using: &chance) == 0 {
            _ = try engine.verify()
            tally.add("totals", "stores verified")
        }
        return Found(sequence: engine.lastSequence, report: engine.recovery)
    }

    /// Opens a store; the floor and what was ever written bound what may be found.
    func open(
        _ image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ what: String,
        floor: UInt64,
        readOnly: Bool = false
    ) throws -> Engine {
        tally.add("totals", "recoveries")
        let engine: Engine
        do {
            engine = try Self.open(image, workload, clock, chance.next(), readOnly: readOnly)
        } catch {
            throw fail(.ackedWriteLost, "\(what): open failed: \(error)")
        }
        try checkBounds(engine, what, floor: floor)
        return engine
    }

    /// What was found lies between what was acknowledged and what was ever written.
    func checkBounds(_ engine: Engine, _ what: String, floor: UInt64) throws {
        let found = engine.lastSequence
        hash.add(Int(found))
        if engine.recovery.tornBytes > 0 { tally.add("totals", "torn tails") }
        guard found >= floor, found <= model.lastSequence else {
            throw fail(
                .ackedWriteLost,
                "\(what): recovered up to \(found), acknowledged was \(floor), issued "
                    + "\(model.lastSequence)"
            )
        }
    }

    /// A read-only opening sees the same as a repairing one will, and changes nothing.
    private func checkReadOnly(_ image: SimulatedFileSystem, _ what: String) throws {
        guard image.names(inDirectory: Self.directory, .cached)?.contains("STORE") == true else {
            return
        }
        let before = image.traceEnd
        let what = what + ", read-only"
        let engine = try open(image, SimulatedClock(), what, floor: 0, readOnly: true)
        try model.check(engine.makeSnapshot(), .scan, "seed \(seed), \(what)")
        // The lock needs its file; everything else stays.
        let isChanged = image.trace(from: before).contains {
            if case .create(_, _, "LOCK") = $0 { false } else { true }
        }
        if isChanged { throw fail("\(what): the files were changed") }
        tally.sometimes(.readOnlyOpen)
    }

    /// Changes a byte of a file: what is read is right, or is refused with an error that says
    /// where.
    private func checkDamaged(
        _ image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ what: String,
        _ sequence: UInt64
    ) throws {
        let names = (image.names(inDirectory: Self.directory, .cached) ?? []).filter {
            image.size(ofFile: "\(Self.directory)/\($0)", .cached) ?? 0 > 0
        }
        guard let name = names.randomElement(using: &chance) else { return }
        let size = image.size(ofFile: "\(Self.directory)/\(name)", .cached) ?? 1
        // Mostly where there is something; log files are reserved far ahead.
        let end = Bool.random(using: &chance) ? size : min(size, 6000)
        let offset = UInt64.random(in: 0..<end, using: &chance)
        try image.flip(
            name,
            in: Self.directory,
            at: offset,
            by: .random(in: 1...255, using: &chance)
        )
        let what = "\(what), byte \(offset) of \(name) changed"
        do {
            let engine = try Self.open(image, workload, clock, chance.next())
            guard engine.lastSequence <= sequence else { throw fail(.wrongRead, what) }
            try model.check(engine.makeSnapshot(), .scan, "seed \(seed), \(what)")
            tally.add("totals", "changed bytes that did not matter")
        } catch let error as EngineError {
            guard [.corruption, .logGap, .unsupportedFormat].contains(error.code) else {
                throw fail("\(what): \(error)")
            }
            tally.add("totals", "corruptions refused")
        }
    }

    private func noteLeftovers(before names: [String], after image: SimulatedFileSystem) {
        let known = names.compactMap(FileName.init(parsing:))
        let operations = image.trace(from: image.traceStart)
        let removed = operations.contains { if case .unlink = $0 { true } else { false } }
        tally.sometimes(.unusedLogFile, removed)
        let hasStore = known.contains(.store)
        let hasManifest = known.contains { if case .manifest = $0 { true } else { false } }
        let hasSegment = known.contains { if case .segment = $0 { true } else { false } }
        tally.sometimes(.orphanedSegment, hasStore && hasSegment && !hasManifest)
    }

    /// Writes to a store that was recovered, closes it cleanly and opens it once more.
    private func writeOn(
        _ image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ what: String,
        _ sequence: UInt64
    ) throws {
        let what = what + ", written on"
        var model = model
        model.cut(to: sequence)
        var engine = try Self.open(image, workload, clock, chance.next())
        let stepper = EngineStepper(engine)
        for number in 0..<6 {
            let changes = workload.changes(of: submitted + number, using: &chance)
            let write = submit(changes, AckPoint.allCases[number % 3], to: stepper)
            model.add(changes, at: try settle(write, stepper, clock, what))
        }
        try model.check(engine.makeSnapshot(), .everything, "seed \(seed), \(what)")
        let last = engine.lastSequence
        try engine.close()
        engine = try Self.open(image, workload, clock, chance.next())
        guard engine.lastSequence == last else {
            throw fail(.ackedWriteLost, "\(what): closed at \(last), then \(engine.lastSequence)")
        }
        try model.check(engine.makeSnapshot(), .scan, "seed \(seed), \(what)")
    }

    /// Works until a write is acknowledged, and returns its sequence.
    private func settle(
        _ write: EngineStepper.Write,
        _ stepper: EngineStepper,
        _ clock: SimulatedClock,
        _ what: String
    ) throws -> UInt64 {
        for _ in 0..<1000 {
            switch stepper.outcome(of: write) {
            case .acknowledged(let sequence): return sequence
            case .failed(let error): throw fail("\(what): \(error)")
            case nil: break
            }
            for actor in EngineStepper.Actor.allCases {
                guard let unit = stepper.take(actor) else { continue }
                stepper.perform(unit)
                stepper.finish(unit)
            }
            clock.advance(by: 1_000_000)
        }
        throw fail(.hang, "\(what): a write is never settled")
    }
}

extension SimulatedFileSystem {
    /// Changes a byte of a file, as a bad disk does.
    fileprivate func flip(
        _ name: String,
        in directory: String,
        at offset: UInt64,
        by mask: UInt8
    ) throws {
        let parent = try openDirectory(path: directory)
        let file = try open(name, in: parent, .readWrite)
        var byte: UInt8 = 0
        _ = try withUnsafeMutableBytes(of: &byte) { try pread(file, into: $0, at: offset) }
        byte ^= mask
        _ = try withUnsafeBytes(of: byte) { try pwrite(file, $0, at: offset) }
        try close(file)
        try close(parent)
    }
}
