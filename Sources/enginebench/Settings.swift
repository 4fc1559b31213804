internal import StorageEngine
internal import ToolSupport

/// What a run does, as the command line said it, checked.
struct Settings: Sendable {
    var benchmarks: [Benchmark]
    var acks: [AckPoint]
    var crews: [Crew]
    /// Keys, and writes of each worker.
    var num: Int
    /// Reads of each worker.
    var reads: Int
    var keySize: Int
    var valueSize: Int
    var valueSizes: ValueSizes
    /// Operations a batch; `nil` leaves it to the benchmark.
    var batchSize: Int?
    var directory: String?
    var usesExistingDatabase: Bool
    /// Seconds a row takes; `nil` when the number of operations bounds it.
    var duration: Double?
    /// Operations a second of all workers together.
    var rate: Double?
    /// Operations a second of the writer beside readers.
    var writeRate: Double?
    var warmup: Double
    var compressionRatio: Double
    /// In bytes; `nil` leaves it to the engine.
    var cacheSize: Int?
    /// In bytes; `nil` leaves it to the engine.
    var writeBufferSize: Int?
    /// Whether each row that writes waits for the compactions it made necessary.
    var settles: Bool
    var seed: UInt64
    var syncProbe: Bool
    /// Voters besides the leader of a replicated store.
    var followers: Int

    static let keySizeMax = 65_536
    /// The engine refuses less.
    private static let writeBufferSizeMin = 16_384

    /// Refuses what cannot be measured.
    func check() throws {
        try require(!benchmarks.isEmpty && !acks.isEmpty && !crews.isEmpty, "an empty list")
        try require(num >= 1, "--num \(num), at least 1 is needed")
        try require(reads >= 1, "--reads \(reads), at least 1 is needed")
        try require(
            crews.allSatisfy { (1...4096).contains($0.count) },
            "1 to 4096 threads or tasks"
        )
        let digits = String(num - 1).utf8.count
        try require(
            (digits...Self.keySizeMax).contains(keySize),
            "--key-size \(keySize), \(num) keys need \(digits) to \(Self.keySizeMax) bytes"
        )
        let valueSizeMax = valueSizes == .fixed ? 64 << 20 : 2 << 20
        try require(
            (0...valueSizeMax).contains(valueSize),
            "--value-size \(valueSize), 0 to \(valueSizeMax) are possible"
        )
        try require((1...1_000_000).contains(batchSize ?? 1), "--batch-size from 1 to 1000000")
        try require(duration ?? 1 > 0, "--duration above 0 is needed")
        try require(rate ?? 1 > 0, "--rate above 0 is needed")
        try require(writeRate ?? 1 > 0, "--write-rate above 0 is needed")
        try require(warmup >= 0, "--warmup of 0 or more is needed")
        try require((1...16).contains(followers), "--followers \(followers), 1 to 16 are possible")
        try require((0...1).contains(compressionRatio), "--compression-ratio from 0 to 1")
        try require(cacheSize ?? 0 >= 0, "--cache-size of 0 or more is needed")
        try require(
            writeBufferSize ?? Self.writeBufferSizeMin >= Self.writeBufferSizeMin,
            "--write-buffer-size of at least \(Self.writeBufferSizeMin) is needed"
        )
        try checkExistingDatabase()
    }

    /// How the database is opened.
    var engineOptions: Engine.Options {
        var options = Engine.Options()
        options.createIfMissing = !usesExistingDatabase
        if let cacheSize { options.cacheSize = cacheSize }
        if let writeBufferSize { options.writeBufferSize = writeBufferSize }
        // There must be a history to catch up with.
        if benchmarks.contains(.feedCatchup) { options.retainedLogSize = .max }
        return options
    }

    private func checkExistingDatabase() throws {
        guard usesExistingDatabase else { return }
        try require(directory != nil, "--use-existing-db needs --db")
        for benchmark in benchmarks where benchmark.startsEmpty {
            throw ToolError(
                "reading the arguments: \(benchmark.rawValue) starts with an empty database, "
                    + "--use-existing-db keeps the one that is there"
            )
        }
    }

    private func require(_ condition: Bool, _ message: String) throws {
        guard condition else { throw ToolError("reading the arguments: \(message)") }
    }
}
