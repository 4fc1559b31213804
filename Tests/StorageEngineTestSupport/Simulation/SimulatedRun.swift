import StorageEngine

/// One seed: a store that is written, read, closed, killed and reopened, stepped from random
/// numbers, with several writes and units of work in flight. Every promise is checked on the way.
package final class SimulatedRun {
    package struct Counts: Sendable {
        package var operations = 0
        package var acknowledged = 0
        package var crashes = 0
        package var reopens = 0
        package var positions = 0
        package var images = 0
        package var snapshots = 0
        /// Flushes, compactions, and segments that became part of the next level as they were.
        package var flushes = 0
        package var compactions = 0
        package var moves = 0

        package init() {}

        package static func += (left: inout Counts, right: Counts) {
            left.operations += right.operations
            left.acknowledged += right.acknowledged
            left.crashes += right.crashes
            left.reopens += right.reopens
            left.positions += right.positions
            left.images += right.images
            left.snapshots += right.snapshots
            left.flushes += right.flushes
            left.compactions += right.compactions
            left.moves += right.moves
        }
    }

    let seed: UInt64
    var generator: SeededGenerator
    let workload: Workload
    let clock = SimulatedClock()
    var fileSystem: SimulatedFileSystem
    var engine: Engine
    var stepper: EngineStepper
    var model = ModelStore()
    package var counts = Counts()

    /// Writes that were submitted and not settled, with their changes.
    var pending: [(write: EngineStepper.Write, changes: [ModelStore.Change], isModeled: Bool)] = []
    var units: [EngineStepper.Unit] = []
    var snapshots: [Snapshot] = []
    /// What was acknowledged, and at which position of the trace.
    var acks: [(position: Int, sequence: UInt64, ack: AckPoint)] = []

    static let directory = "db"

    package init(seed: UInt64) throws {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        workload = Workload(using: &generator)
        fileSystem = SimulatedFileSystem(profile: workload.profile)
        engine = try Self.open(fileSystem, workload, clock, seed)
        stepper = EngineStepper(engine)
    }

    static func open(
        _ fileSystem: SimulatedFileSystem,
        _ workload: Workload,
        _ clock: SimulatedClock,
        _ seed: UInt64,
        readOnly: Bool = false
    ) throws -> Engine {
        var options = workload.options
        options.readOnly = readOnly
        let entropy = SharedEntropy(seed: seed)
        return try Engine.open(
            at: directory,
            options: options,
            environment: Environment(
                fileSystem: fileSystem,
                time: clock,
                entropy: { entropy.next() },
                startsThreads: false
            )
        )
    }

    /// Runs until a number of writes was submitted, then checks the last crash images.
    package func run(operations: Int) throws {
        while counts.operations < operations { try step() }
        try crash(reopens: false)
    }

    private func step() throws {
        switch Int.random(in: 0..<100, using: &generator) {
        case 0..<25: submit()
        case 25..<55: take()
        case 55..<70: try perform()
        case 70..<85: try finish()
        case 85..<92: clock.advance(by: .random(in: 1...20_000_000, using: &generator))
        case 92..<94: clock.advance(by: .random(in: 1...2_000_000_000, using: &generator))
        case 94..<97: try read()
        case 97..<98: clock.jumpWall(by: .random(in: -5000...5000, using: &generator))
        default:
            guard Int.random(in: 0..<20, using: &generator) == 0 else { return }
            if Bool.random(using: &generator) { try closeAndReopen() } else { try crash() }
        }
    }

    func fail(_ what: String) -> SimulationFailure {
        SimulationFailure("seed \(seed), operation \(counts.operations): \(what)")
    }

    // MARK: - Writes and work

    private func submit() {
        guard pending.count < workload.writesInFlight else { return }
        let changes = workload.changes(using: &generator)
        var batch = WriteBatch()
        do throws(EngineError) {
            for change in changes { try change.apply(to: &batch) }
        } catch {
            preconditionFailure("the workload keeps the limits: \(error)")
        }
        let write = stepper.submit(batch, ack: workload.ack(using: &generator))
        pending.append((write, changes, false))
        counts.operations += 1
    }

    private func take() {
        guard let actor = EngineStepper.Actor.allCases.randomElement(using: &generator),
            let unit = stepper.take(actor)
        else { return }
        units.append(unit)
    }

    private func perform() throws {
        guard let unit = units.filter({ !$0.isPerformed }).randomElement(using: &generator) else {
            return
        }
        try perform(unit)
    }

    func perform(_ unit: EngineStepper.Unit) throws {
        let start = fileSystem.traceEnd
        let isBegun = fileSystem.names(inDirectory: Self.directory, .cached)?.contains {
            if case .log = FileName(parsing: $0) { true } else { false }
        }
        stepper.perform(unit)
        noteSequenced()
        guard unit.name.hasPrefix("commit") || unit.name == "flush", isBegun == true else { return }
        // An append asks for no sync: not for itself, not for anybody else. (A file that begins an
        // epoch is made by the first append.)
        let operations = fileSystem.trace.suffix(fileSystem.traceEnd - start)
        let makesFile = operations.contains { if case .create = $0 { true } else { false } }
        let syncs = operations.contains {
            switch $0 {
            case .sync, .syncDirectory: true
            default: false
            }
        }
        if syncs, !makesFile { throw fail("\(unit.name) ran a sync") }
    }

    private func finish() throws {
        guard let unit = units.filter(\.isPerformed).randomElement(using: &generator) else {
            return
        }
        try finish(unit)
    }

    func finish(_ unit: EngineStepper.Unit) throws {
        stepper.finish(unit)
        if unit.name == "flushIndex" { counts.flushes += 1 }
        if unit.name == "compact" { counts.compactions += 1 }
        if unit.name == "move" { counts.moves += 1 }
        units.removeAll { $0 === unit }
        try settle()
    }

    /// Puts what was sequenced into the model: it may survive from here on.
    private func noteSequenced() {
        for index in pending.indices where !pending[index].isModeled {
            guard let sequence = pending[index].write.sequence else { continue }
            model.add(pending[index].changes, at: sequence)
            pending[index].isModeled = true
        }
    }

    private func settle() throws {
        for entry in pending {
            guard let outcome = stepper.outcome(of: entry.write) else { continue }
            switch outcome {
            case .acknowledged(let sequence):
                acks.append((fileSystem.traceEnd, sequence, entry.write.ack))
                counts.acknowledged += 1
            case .failed(let error): throw fail("a write failed without a fault: \(error)")
            }
            pending.removeAll { $0.write === entry.write }
        }
    }

    /// Works until nothing is in flight.
    private func drain() throws {
        while !units.isEmpty || !pending.isEmpty {
            for unit in units {
                if !unit.isPerformed { try perform(unit) }
                try finish(unit)
            }
            for actor in EngineStepper.Actor.allCases {
                if let unit = stepper.take(actor) { units.append(unit) }
            }
            // Writers may be slowed down until some time.
            if units.isEmpty { clock.advance(by: 1_000_000) }
        }
    }

    // MARK: - Reads

    private func read() throws {
        if !snapshots.isEmpty, Bool.random(using: &generator) {
            let index = Int.random(in: 0..<snapshots.count, using: &generator)
            try model.check(snapshots[index], "seed \(seed), an old snapshot")
            if Bool.random(using: &generator) { snapshots.remove(at: index) }
            return
        }
        let snapshot = try engine.makeSnapshot()
        try model.check(snapshot, "seed \(seed), a new snapshot")
        counts.snapshots += 1
        if snapshots.count < 4 { snapshots.append(snapshot) }
    }

    // MARK: - Ends

    private func closeAndReopen() throws {
        try drain()
        snapshots.removeAll()
        try engine.close()
        try checkFloors()
        engine = try Self.open(fileSystem, workload, clock, generator.next())
        stepper = EngineStepper(engine)
        acks = []
        counts.reopens += 1
        guard engine.lastSequence == model.lastSequence, engine.recovery.tornBytes == 0,
            engine.recovery.rewrittenRecords == 0
        else { throw fail("after a clean close: \(engine.lastSequence), \(engine.recovery)") }
        try model.check(try engine.makeSnapshot(), "seed \(seed), after a clean close")
    }
}

/// A shared source of numbers for an environment.
final class SharedEntropy: @unchecked Sendable {
    private let lock = Lock()
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func next() -> UInt64 { lock.with { generator.next() } }
}
