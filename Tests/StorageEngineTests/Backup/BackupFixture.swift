import StorageEngineTestSupport

@testable import StorageEngine

/// A store on a simulated disk with segments of several levels and a log behind them, for tests of
/// checkpoints and backups.
///
/// Thread safety: none.
final class BackupFixture {
    let fileSystem: SimulatedFileSystem
    let clock = SimulatedClock()
    let environment: Environment
    private(set) var engine: Engine
    private(set) var stepper: EngineStepper
    /// What the store holds.
    private(set) var model: [String: String] = [:]
    private var number = 0
    private var generator = SeededGenerator(seed: 11)

    init(
        _ fileSystem: SimulatedFileSystem = SimulatedFileSystem(),
        rounds: Int = 160,
        seed: UInt64 = 77
    ) throws {
        self.fileSystem = fileSystem
        environment = Self.environment(fileSystem, clock, seed: seed)
        engine = try Self.open("db", environment)
        stepper = EngineStepper(engine)
        model = try StorageEngineTests.contents(engine)
        try write(rounds)
    }

    /// Files and time are simulated, and every random number is another one.
    static func environment(
        _ fileSystem: SimulatedFileSystem,
        _ clock: SimulatedClock = SimulatedClock(),
        seed: UInt64 = 78
    ) -> Environment {
        let randomness = Randomness(seed: seed)
        return Environment(
            fileSystem: fileSystem,
            time: clock,
            entropy: { randomness.next() },
            startsThreads: false
        )
    }

    static func open(_ path: String, _ environment: Environment) throws(EngineError) -> Engine {
        var options = Engine.Options()
        options.retainedLogSize = 0
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.cacheSize = 0
        options.compaction.level0Count = 2
        options.compaction.levelBaseSize = 12_000
        options.compaction.levelMultiplier = 2
        options.compaction.segmentSize = 6_000
        options.createIfMissing = path == "db"
        options.logger = .silent
        return try Engine.open(at: path, options: options, environment: environment)
    }

    /// What a store holds, all of it verified.
    static func verifiedContents(
        of path: String,
        on fileSystem: SimulatedFileSystem
    ) throws -> [String: String] {
        let engine = try open(path, environment(fileSystem))
        _ = try engine.verify()
        let found = try StorageEngineTests.contents(engine)
        try engine.close()
        return found
    }

    var backups: BackupDirectory { BackupDirectory(path: "backups", environment: environment) }

    func backUp(keeping count: Int? = nil) throws(EngineError) -> BackupReport {
        try engine.backup(to: "backups", keeping: count)
    }

    /// Writes, flushes and compacts, until there is nothing to do.
    func write(_ rounds: Int) throws {
        for _ in 0..<rounds {
            number += 1
            let key = "key\(number * 7 % 60)"
            let value = "\(number) " + filler(400)
            let ack: AckPoint = number % 2 == 0 ? .disk : .wal
            guard try stepper.put(value, for: key, ack: ack).code == nil else {
                throw SimulationFailure("a write failed")
            }
            model[key] = value
            if number % 50 == 49 {
                var batch = WriteBatch()
                try batch.deleteRange(KeyRange(from: Array("key2".utf8), to: Array("key3".utf8)))
                _ = try stepper.complete(stepper.submit(batch, ack: .disk))
                model = model.filter { !$0.key.hasPrefix("key2") }
            }
            clock.advance(by: 10_000_000)
        }
        for _ in 0..<50 {
            stepper.work()
            clock.advance(by: 60_000_000)
        }
    }

    /// Text that hardly compresses.
    private func filler(_ count: Int) -> String {
        let letters = (0..<count).map { _ in
            UInt8.random(in: UInt8(ascii: "a")...UInt8(ascii: "z"), using: &generator)
        }
        return String(decoding: letters, as: UTF8.self)
    }

    /// Puts one key, which waits in memory.
    func putInMemory(_ value: String, for key: String) throws {
        _ = try stepper.put(value, for: key, ack: .memory)
        model[key] = value
    }

    /// Closes the engine, however that ends, and opens the store again.
    func reopen() throws {
        do throws(EngineError) { try engine.close() } catch {}
        engine = try Self.open("db", environment)
        stepper = EngineStepper(engine)
        model = try StorageEngineTests.contents(engine)
    }

    func names(_ directory: String, ending: String = "") -> [String] {
        (fileSystem.names(inDirectory: directory, .cached) ?? []).filter { $0.hasSuffix(ending) }
    }

    /// Whether a name is at the root.
    static func has(_ name: String, _ fileSystem: SimulatedFileSystem) -> Bool {
        fileSystem.names(inDirectory: "/", .cached)?.contains(name) == true
    }
}

/// Random numbers that threads may share.
private final class Randomness: @unchecked Sendable {
    private let lock = Lock()
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    func next() -> UInt64 { lock.with { generator.next() } }
}
