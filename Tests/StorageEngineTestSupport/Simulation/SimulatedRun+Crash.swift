import StorageEngine

extension SimulatedRun {
    /// Checks at every position of the trace that what was acknowledged there is in what would
    /// survive: `.disk` in what was durable, `.wal` in what the kernel had.
    func checkFloors() throws {
        var history = fileSystem.history()
        var durable = LogWatch(directory: Self.directory, .durable)
        var cached = LogWatch(directory: Self.directory, .cached)
        var next = 0
        var floors: [AckPoint: UInt64] = [:]
        while history.position < history.end {
            history.advance(to: history.position + 1)
            counts.positions += 1
            while next < acks.count, acks[next].position <= history.position {
                let ack = acks[next]
                floors[ack.ack] = max(floors[ack.ack] ?? 0, ack.sequence)
                next += 1
            }
            try check(floors[.disk], durable.lastSequence(history), "disk", history.position)
            let wal = max(floors[.wal] ?? 0, floors[.disk] ?? 0)
            try check(wal, cached.lastSequence(history), "wal", history.position)
        }
    }

    private func check(
        _ floor: UInt64?,
        _ found: UInt64,
        _ point: String,
        _ position: Int
    ) throws {
        guard let floor, found < floor else { return }
        throw fail(
            "at position \(position) of the trace sequence \(floor) was acknowledged at .\(point), "
                + "but only \(found) would survive"
        )
    }

    /// Ends the run of this process, by kill or power cut, and goes on from what survives.
    func crash(reopens: Bool = true) throws {
        try checkFloors()
        try checkImages()
        counts.crashes += 1
        snapshots.removeAll()
        units = []
        let isKill = Bool.random(using: &generator)
        let policy: CrashPolicy = isKill ? .all : randomPolicy()
        let image = fileSystem.crashed(policy, using: &generator)
        guard reopens else { return }
        let floor = self.floor(isKill ? .wal : .disk, at: fileSystem.traceEnd)
        fileSystem = image
        engine = try open(image, "after a crash, \(policy)", floor: floor)
        model.cut(to: engine.lastSequence)
        stepper = EngineStepper(engine)
        pending = []
        // What was recovered counts as durable from here on.
        acks = [(fileSystem.traceEnd, engine.lastSequence, .disk)]
    }

    /// Reopens what would survive at a few earlier positions.
    private func checkImages() throws {
        var history = fileSystem.history()
        let end = history.end
        let positions = (0..<3).map { _ in
            Int.random(in: history.position...end, using: &generator)
        }
        for position in positions.sorted() {
            history.advance(to: position)
            let policy = randomPolicy()
            let image = history.crashed(policy, using: &generator)
            let point: AckPoint = policy == .all ? .wal : .disk
            let what = "crash at \(position), \(policy)"
            let engine = try open(image, what, floor: floor(point, at: position))
            let first = engine.lastSequence
            // Recovery interrupted, and recovery of what it left: the same again.
            let again = try open(
                interrupted(image),
                what + ", recovery interrupted",
                floor: first
            )
            guard again.lastSequence == first else {
                throw fail("\(what): \(first), and \(again.lastSequence) after another crash")
            }
        }
    }

    /// What a crash somewhere in the recovery of an image leaves.
    private func interrupted(_ image: SimulatedFileSystem) -> SimulatedFileSystem {
        var history = image.history()
        let position = Int.random(in: history.position...history.end, using: &generator)
        history.advance(to: position)
        return history.crashed(randomPolicy(), using: &generator)
    }

    private func open(
        _ image: SimulatedFileSystem,
        _ what: String,
        floor: UInt64
    ) throws -> Engine {
        counts.images += 1
        let engine: Engine
        do {
            engine = try Self.open(image, workload, clock, generator.next())
        } catch {
            throw fail("\(what): open failed: \(error)")
        }
        guard engine.lastSequence >= floor, engine.lastSequence <= model.lastSequence else {
            throw fail(
                "\(what): recovered up to \(engine.lastSequence), acknowledged was \(floor), "
                    + "issued \(model.lastSequence)"
            )
        }
        try model.check(try engine.makeSnapshot(), "seed \(seed), \(what)")
        return engine
    }

    private func floor(_ point: AckPoint, at position: Int) -> UInt64 {
        acks.filter { $0.ack >= point && $0.position <= position }.map(\.sequence).max() ?? 0
    }

    private func randomPolicy() -> CrashPolicy {
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: .none
        case 1: .all
        case 2: .prefix(Int.random(in: 0...6, using: &generator))
        case 3: .tornLast(bytes: Int.random(in: 0...300, using: &generator))
        case 4: .sizesOnly
        default: .sectors(keep: Double.random(in: 0...1, using: &generator))
        }
    }
}
