import StorageEngine

// A store that follows the run's store, on a simulated disk of its own. It goes through crashes of
// its own, and goes on with what survives.

/// A follower of a run's store.
///
/// Thread safety: none; it belongs to its run.
final class SimulatedFollower {
    /// What a write must have reached at the leader before it is taken in here.
    let horizon: AckPoint
    /// Keeps the leader's log.
    let slot = SimulatedSlot("follower", limit: nil)
    let options: Engine.Options

    var fileSystem: SimulatedFileSystem
    var engine: Engine
    var stepper: EngineStepper
    /// Whether the leader's log does not reach back to it, or it cannot be cut back.
    var needsCopy = false

    /// The places of all records that are here, or on their way in.
    var line: [Position] = []
    /// Where the records before the first of these end: a copy brings no records.
    var base = Position.start
    var reader: FeedCursorBox?
    /// What was received, and is not here yet.
    var batch: ChangeBatch?
    var writes: [EngineStepper.Write] = []
    var units: [EngineStepper.Unit] = []
    var acks: [SimulatedRun.Ack] = []
    var samplesDone = 0

    init(
        _ run: SimulatedRun,
        _ horizon: AckPoint,
        logFileSize: UInt64,
        seed: UInt64
    ) throws(EngineError) {
        self.horizon = horizon
        var options = run.workload.options
        options.follows = run.engine.historyID
        options.logFileSize = logFileSize
        self.options = options
        fileSystem = SimulatedFileSystem(profile: run.workload.profile)
        fileSystem.clock = run.clock
        engine = try Self.open(fileSystem, options, run.clock, seed)
        stepper = EngineStepper(engine)
    }

    static func open(
        _ fileSystem: SimulatedFileSystem,
        _ options: Engine.Options,
        _ clock: SimulatedClock,
        _ seed: UInt64
    ) throws(EngineError) -> Engine {
        try Engine.open(
            at: SimulatedRun.directory,
            options: options,
            environment: environment(fileSystem, clock, seed)
        )
    }

    static func environment(
        _ fileSystem: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ seed: UInt64
    ) -> Environment {
        let entropy = SharedEntropy(seed: seed)
        return Environment(
            fileSystem: fileSystem,
            time: clock,
            entropy: { entropy.next() },
            startsThreads: false
        )
    }

    /// The last record that is here, or on its way in.
    var last: Position { line.last ?? base }

    /// The place of the last record up to a sequence; `nil` when a copy brought it.
    func place(upTo sequence: UInt64) -> Position? {
        if sequence == base.sequence { return base }
        return line.last { $0.sequence <= sequence }
    }

    /// Notes that records of a batch are here, or on their way in.
    func note(_ batch: ChangeBatch, through sequence: UInt64) {
        batch.forEach { record in
            let place = record.position
            guard place.sequence > last.sequence, place.sequence <= sequence else { return }
            line.append(place)
        }
    }

    /// What has reached a point here for certain.
    func floor(_ point: AckPoint, at position: Int) -> UInt64 {
        acks.filter { $0.point >= point && $0.position <= position }.map(\.sequence).max() ?? 0
    }

    /// Forgets the records behind a sequence.
    func cut(to sequence: UInt64) {
        line.removeAll { $0.sequence > sequence }
        batch = nil
    }

    /// Lets go of everything that dies with the process.
    func abandon() {
        reader = nil
        batch = nil
        writes = []
        units = []
    }
}
