internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

/// The command line.
struct EngineBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginebench",
        abstract: "Measures the storage engine on your disk.",
        discussion: """
            Without --benchmarks: what each ack point costs, for single puts of random keys.

            Benchmarks: \(Benchmark.names)

            Examples:
              enginebench
              enginebench --benchmarks fillrandom,readrandom --num 1000000 --threads 1,8
              enginebench --benchmarks fillsync --sync-probe
              enginebench --benchmarks overwrite --ack wal --duration 30 --rate 50000
              enginebench --benchmarks ycsb-a,ycsb-c --num 1000000 --threads 4
              enginebench --ack disk --tasks 1,64 --report disk.html
              enginebench --benchmarks replica-acks,replica-lag --followers 1 --tasks 1,64
            """,
        version: toolVersion
    )

    @Option(help: "What to measure, one behind the other.", transform: names)
    var benchmarks: [Benchmark] = []
    @Option(help: "Ack points of writes: memory, wal, disk. Default: wal.", transform: ackPoints)
    var ack: [AckPoint] = []
    @Option(help: "Keys, and writes of each thread or task.")
    var num = 1_000_000
    @Option(help: "Reads of each thread or task. Default: --num.")
    var reads: Int?
    @Option(help: "A row for each number of threads. Default: 1.", transform: counts)
    var threads: [Int] = []
    @Option(help: "A row for each number of concurrent tasks.", transform: counts)
    var tasks: [Int] = []
    @Option(help: "Bytes of a key, a zero-padded decimal number.")
    var keySize = 16
    @Option(help: "Bytes of a value, the mean when sizes differ.")
    var valueSize = 100
    @Option(help: "How sizes of values are distributed: fixed, uniform, zipf.")
    var valueSizes = ValueSizes.fixed
    @Option(help: "Operations a batch. Default: 100 for fillbatch, 1 otherwise.")
    var batchSize: Int?
    @Option(help: "Directory of the database. Default: a temporary one, removed at the end.")
    var db: String?
    @Flag(help: "Keep the database that is there.")
    var useExistingDb = false
    @Option(help: "Seconds a row takes, whatever --num and --reads say.")
    var duration: Double?
    @Option(help: "Operations a second, all together; latency counts from the intended start.")
    var rate: Double?
    @Option(help: "Operations a second of readwhilewriting's writer.")
    var writeRate: Double?
    @Option(help: "Seconds of each row that are not measured, before it.")
    var warmup = 0.0
    @Option(help: "To what part of its size a value can be compressed.")
    var compressionRatio = 0.5
    @Option(help: "Bytes of the engine's block cache. Default: the engine's.")
    var cacheSize: Int?
    @Option(help: "Bytes of an index in memory before it is flushed. Default: the engine's.")
    var writeBufferSize: Int?
    @Flag(help: "Behind each row that writes, wait for compactions and count what they write.")
    var settle = false
    @Option(help: "Followers of a replicated store, all of them voters.")
    var followers = 3
    @Option(help: "Makes random keys and values repeatable.")
    var seed: UInt64 = 301
    @Flag(help: "Measure a bare write and sync; with fillsync, in turns with it.")
    var syncProbe = false
    @Option(help: "Write the figures as one HTML page, too.")
    var report: String?
    @Option(help: "Form of the output: text, json.")
    var format = OutputFormat.text

    func run() throws {
        let settings = settings
        try settings.check()
        var session = try Session(settings, format: format)
        try session.run()
        guard let report else { return }
        try session.writeReport(to: report)
    }

    private var settings: Settings {
        let isMatrix = benchmarks.isEmpty
        var crews = threads.map(Crew.threads) + tasks.map(Crew.tasks)
        if crews.isEmpty { crews = isMatrix ? [.threads(1), .threads(8)] : [.threads(1)] }
        let acks = isMatrix ? AckPoint.allCases : [.wal]
        return Settings(
            benchmarks: isMatrix ? [.put] : benchmarks,
            acks: ack.isEmpty ? acks : ack,
            crews: crews,
            num: num,
            reads: reads ?? num,
            keySize: keySize,
            valueSize: valueSize,
            valueSizes: valueSizes,
            batchSize: batchSize,
            directory: db,
            usesExistingDatabase: useExistingDb,
            duration: duration ?? (isMatrix ? 3 : nil),
            rate: rate,
            writeRate: writeRate,
            warmup: warmup,
            compressionRatio: compressionRatio,
            cacheSize: cacheSize,
            writeBufferSize: writeBufferSize,
            settles: settle,
            seed: seed,
            syncProbe: syncProbe || isMatrix,
            followers: followers
        )
    }
}

extension ValueSizes: ExpressibleByArgument {}

private func elements(_ list: String) -> [String] {
    list.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
}

private func names(_ list: String) throws -> [Benchmark] {
    try elements(list).map { name in
        guard let benchmark = Benchmark(rawValue: name) else {
            throw ValidationError("unknown benchmark '\(name)', known are \(Benchmark.names)")
        }
        return benchmark
    }
}

private func ackPoints(_ list: String) throws -> [AckPoint] {
    try elements(list).map { name in
        guard let point = AckPoint(name: name) else {
            throw ValidationError("unknown ack point '\(name)', known are memory wal disk")
        }
        return point
    }
}

private func counts(_ list: String) throws -> [Int] {
    try elements(list).map { text in
        guard let count = Int(text), count >= 1 else {
            throw ValidationError("'\(text)' is not a number of threads or tasks")
        }
        return count
    }
}
