internal import Logging
import StorageEngine

// One seed: a store that is written, read, closed, killed and reopened, stepped from random
// numbers, with several writes and units of work in flight. Every promise is checked on the way.
//
// 1. What is done depends on the seed and the number of operations alone (`generator`); what is
//    looked at draws from numbers of its own (`chance`), so that another check changes no workload.
// 2. A phase lasts from one opening of the store to its end, by a close or a crash. At its end the
//    phase's trace is walked once: the floor is checked at every position (`StoreWatch`), and at
//    sampled positions crash images are opened (`SimulatedRun+Images.swift`).
// 3. Consumers of its changes and a store that follows it are stepped with it, from numbers of
//    their own (`audience`): see `SimulatedRun+Consumers.swift`.
// 4. Some seeds plan faults. Where one was injected calls may fail, with an error of the right
//    kind; what was acknowledged is never lost, and what is read is never wrong.

/// Thread safety: none; seeds share nothing, so each may run on a thread of its own.
package final class SimulatedRun {
    /// How much is looked at.
    package struct Plan: Sendable {
        /// How many writes are submitted.
        package var operations = 2000
        /// At how many positions of the trace crash images are opened; `nil` for all.
        package var samples: Int? = 20
        /// The one fault of the run, on the call of its kind and number from the first opening on;
        /// `nil` when the workload plans its faults. Needs ``recordsCalls``.
        package var fault: SimulatedFault?
        /// Whether the calls are written down.
        package var recordsCalls = false

        package init() {}
    }

    let seed: UInt64
    let plan: Plan
    let workload: Workload
    /// What the store goes through.
    var generator: SeededGenerator
    /// What is looked at.
    var chance: SeededGenerator
    /// What consumers and the follower do.
    var audience: SeededGenerator
    let clock = SimulatedClock()

    var fileSystem: SimulatedFileSystem
    var engine: Engine
    var stepper: EngineStepper
    var model = ModelStore(hasStamps: true)
    var feed = FeedModel()
    var consumers: [SimulatedConsumer] = []
    /// `nil` in most runs.
    var follower: SimulatedFollower?
    package var tally = Tally()
    /// Over all traces, and what came of every write and opening.
    var hash = TraceHash()

    /// Writes that were submitted and not settled, with their changes.
    var pending: [PendingWrite] = []
    var units: [EngineStepper.Unit] = []
    var snapshots: [(snapshot: Snapshot, isOld: Bool)] = []
    /// What was acknowledged, and at which position of the trace.
    var acks: [Ack] = []
    /// What consumers have seen at `.wal` and `.disk`, in the same way.
    var seen: [Ack] = []
    /// How far each slot was when SLOTS was begun to be written.
    var slotMarks: [Int] = []
    /// The parts of the trace that units of work are behind.
    var spans: [(range: Range<Int>, unit: String)] = []
    var submitted = 0
    var samplesDone = 0
    /// Whether a fault was planned in this phase, and whether the disk was full.
    var hasFaults = false
    var wasFull = false
    var lastFailure = ""
    /// The calls that were made on file systems that are no longer used.
    package var calls: [(call: SimulatedCall, name: String)] = []
    /// In which unit of work a fault hit first.
    package var faultUnit: String?
    /// Whether that unit's outcome was never noted.
    var faultWasCutShort = false
    let warnings = WarningCounter.Count()
    /// Whether writes were refused until the store was opened again.
    var wasPoisoned = false

    struct PendingWrite {
        let write: EngineStepper.Write
        let changes: [ModelStore.Change]
        var isModeled = false
    }

    struct Ack {
        let position: Int
        let sequence: UInt64
        let point: AckPoint
    }

    static let directory = "db"

    package init(seed: UInt64, _ plan: Plan = Plan()) throws {
        self.seed = seed
        self.plan = plan
        generator = SeededGenerator(seed: seed)
        chance = SeededGenerator(seed: ~seed)
        audience = SeededGenerator(seed: seed ^ 0x5eed_0000_feed)
        var workload = Workload(using: &generator)
        workload.isSwept = plan.fault != nil || plan.recordsCalls
        if workload.isSwept { workload.faultWeight = 0 }
        workload.options.logger = Logger(label: "simulation") { [warnings] _ in
            WarningCounter(warnings)
        }
        self.workload = workload
        fileSystem = SimulatedFileSystem(profile: workload.profile)
        // Replaced at once, by one that may meet the fault.
        engine = try Self.open(SimulatedFileSystem(), workload, clock, seed)
        stepper = EngineStepper(engine)
        prepare(fileSystem)
        engine = try openMeetingFault(seed) { throw $0 }
        stepper = EngineStepper(engine)
        if !workload.isSwept { try invite() }
    }

    /// Gives a file system the run's clock, habits and fault.
    func prepare(_ fileSystem: SimulatedFileSystem) {
        fileSystem.clock = clock
        fileSystem.failedSyncReverts = workload.failedSyncReverts
        fileSystem.recordsCalls = plan.recordsCalls
        guard var fault = plan.fault, faultUnit == nil else { return }
        hasFaults = true
        fault.occurrence -= calls.count { $0.call == fault.call }
        fileSystem.inject(fault)
    }

    /// Opens the store; when the planned fault makes that fail, without the fault once more.
    func openMeetingFault(
        _ seed: UInt64,
        _ report: (EngineError) throws -> Never
    ) throws -> Engine {
        let before = fileSystem.injectedFaultCount
        defer { noteFault(in: "open", since: before) }
        do throws(EngineError) {
            return try Self.open(fileSystem, workload, clock, seed)
        } catch {
            guard fileSystem.injectedFaultCount > before,
                error.code == .io || error.code == .noSpace
            else { try report(error) }
            surface("open", error)
        }
        noteFault(in: "open", since: before)
        endFaults()
        do throws(EngineError) {
            return try Self.open(fileSystem, workload, clock, seed)
        } catch {
            try report(error)
        }
    }

    /// Notes in which unit of work the run's fault hit.
    func noteFault(in unit: String, since count: Int) {
        if fileSystem.injectedFaultCount > count, faultUnit == nil { faultUnit = unit }
    }

    /// A hash of everything that the run did and was told.
    package var traceHash: UInt64 { hash.value }

    /// Runs until all writes were submitted and the last phase was checked.
    package func run() throws {
        do {
            while submitted < plan.operations {
                try step()
                try stepConsumers()
                try stepFollower()
            }
            noteCutShort()
            try checkConsumers()
            if let follower { try checkTrace(of: follower) }
            try checkTrace()
        } catch let error as EngineError {
            throw fail("an error where none may be: \(error)")
        }
        fold(fileSystem)
        if let follower { fold(follower.fileSystem) }
        calls += fileSystem.recordedCalls
        tally.add("totals", "seeds")
    }

    private func step() throws {
        switch Int.random(in: 0..<10_000, using: &generator) {
        case 0..<2500: submit()
        case 2500..<5500: try take()
        case 5500..<7000: try performOne()
        case 7000..<8500: try finishOne()
        case 8500..<9200: clock.advance(by: .random(in: 1...20_000_000, using: &generator))
        case 9200..<9400: clock.advance(by: .random(in: 1...2_000_000_000, using: &generator))
        case 9400..<9550: try read()
        case 9550..<9650: clock.jumpWall(by: .random(in: -5000...5000, using: &generator))
        case 9700..<9700 + workload.endWeight: try end()
        case 9800..<9800 + workload.faultWeight: planFault()
        default:
            if fileSystem.capacity < .max, Int.random(in: 0..<20, using: &generator) == 0 {
                fileSystem.capacity = .max
            }
            // A poisoned store refuses everything: go on with the next phase soon.
            if stepper.isPoisoned, Int.random(in: 0..<4, using: &generator) == 0 { try end() }
        }
    }

    private func end() throws {
        if Bool.random(using: &generator) { try closeAndReopen() } else { try crash() }
    }

    func fail(_ what: String) -> SimulationFailure { fail(.other, what) }

    func fail(_ kind: SimulationFailure.Kind, _ what: String) -> SimulationFailure {
        SimulationFailure(kind, "seed \(seed), operation \(submitted): \(what)")
    }

    // MARK: - Opening

    static func open(
        _ fileSystem: SimulatedFileSystem,
        _ workload: Workload,
        _ clock: SimulatedClock,
        _ seed: UInt64,
        readOnly: Bool = false
    ) throws(EngineError) -> Engine {
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

    // MARK: - Reads

    private func read() throws {
        if !snapshots.isEmpty, Bool.random(using: &generator) {
            let index = Int.random(in: 0..<snapshots.count, using: &generator)
            try check(snapshots[index].snapshot, "an old snapshot")
            tally.sometimes(.oldSnapshotRead, snapshots[index].isOld)
            if Bool.random(using: &generator) { snapshots.remove(at: index) }
            return
        }
        let snapshot = try engine.makeSnapshot() as Snapshot
        try check(snapshot, "a new snapshot")
        if snapshots.count < 4 { snapshots.append((snapshot, false)) }
    }

    /// Compares a snapshot with the model; where faults were planned a read may fail.
    func check(_ snapshot: Snapshot, _ what: String) throws {
        let before = fileSystem.injectedFaultCount
        defer { noteFault(in: "read", since: before) }
        do {
            try model.check(snapshot, .everything, "seed \(seed), \(what)")
            tally.add("totals", "snapshots read")
        } catch let error as EngineError where hasFaults && error.code == .io {
            surface("read", error)
        }
    }

    /// Notes an error that an injected fault caused.
    func surface(_ where: String, _ error: EngineError) {
        tally.add("errors surfaced", "\(`where`): \(error.code.rawValue)")
    }
}

/// A shared source of numbers for an environment.
final class SharedEntropy: @unchecked Sendable {
    private let lock = Lock()
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func next() -> UInt64 { lock.with { generator.next() } }
}

/// Counts what the engine tells operators that went wrong.
struct WarningCounter: LogHandler {
    /// Thread safety: none; a run has one thread.
    final class Count: @unchecked Sendable {
        var warnings = 0
    }

    let count: Count
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.warning

    init(_ count: Count) { self.count = count }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: Logging.LogEvent) { count.warnings += 1 }
}
