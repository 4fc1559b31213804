internal import StorageEngine
internal import ToolSupport

/// One run of the tool: its rows, one behind the other.
struct Session {
    let settings: Settings
    private let format: OutputFormat
    private let values: ValueSource
    private let surroundings: SettingsList
    var database: Database
    private var rows: [Figures] = []
    private var comparisons: [any Comparison] = []

    /// The rounds in which durable puts and the sync probe take turns.
    private static let roundCount = 5
    /// The least operations of a round of the sync probe.
    private static let probeCount = 1000
    /// Tells the warm-up's random numbers from those of the rounds.
    private static let warmupRound = 1000

    init(_ settings: Settings, format: OutputFormat) throws {
        self.settings = settings
        self.format = format
        values = ValueSource(
            size: settings.valueSize,
            sizes: settings.valueSizes,
            compressionRatio: settings.compressionRatio,
            seed: settings.seed
        )
        database = try Database(settings)
        let fileSystem = FileSystemType(of: database.path, orParent: true)
        if fileSystem.isMemory {
            ToolOutput.complain(
                "warning: \(database.path) is on tmpfs, syncs cost nothing there"
            )
        }
        surroundings = SettingsList(settings, directory: database.path, fileSystem: fileSystem)
    }

    // MARK: - Rows

    mutating func run() throws {
        try printSettings()
        if settings.syncProbe, !settings.benchmarks.contains(.fillsync) {
            try report(figures(ofProbe: makeProbe().run(Self.probeCount)))
        }
        for benchmark in settings.benchmarks {
            for ack in benchmark.ackPoints(settings.acks) {
                let crews = benchmark.hasWorkers ? settings.crews : [.threads(1)]
                for crew in crews { try runRow(benchmark, ack, crew) }
            }
        }
        try database.close()
    }

    private mutating func runRow(
        _ benchmark: Benchmark,
        _ ack: AckPoint?,
        _ crew: Crew
    ) throws {
        if let ack, benchmark == .feedTail { return try runFeedTail(ack, crew) }
        if benchmark.isReplicated { return try runReplicas(benchmark, ack, crew) }
        var engine = try openDatabase(for: benchmark)
        // A compaction would leave nothing to measure.
        if settings.warmup > 0, benchmark != .compact {
            let limit = Limit(
                duration: Clock.nanoseconds(seconds: settings.warmup),
                rate: settings.rate,
                label: "warm-up"
            )
            let context = context(engine, ack, round: Self.warmupRound)
            _ = try benchmark.run(crew, limit, context)
            if benchmark.startsEmpty { engine = try openDatabase(for: benchmark) }
        }
        let before = engine.metrics
        var comparison: ProbeComparison?
        let tally =
            benchmark == .fillsync && settings.syncProbe
            ? try runInTurns(crew, engine, &comparison)
            : try benchmark.run(crew, limit(of: benchmark, crew), context(engine, ack))
        let log = benchmark.writes ? try use(of: engine, since: before) : nil
        try report(
            Figures(
                benchmark: benchmark.rawValue,
                ack: ack,
                crew: crew,
                tally: tally,
                log: log,
                countsFound: benchmark.reads
            )
        )
        if let comparison { try report(comparison) }
    }

    private mutating func openDatabase(for benchmark: Benchmark) throws -> Engine {
        benchmark.startsEmpty ? try database.openEmpty() : try database.openLoaded(values)
    }

    func context(_ engine: Engine, _ ack: AckPoint?, round: Int = 0) -> JobContext {
        JobContext(
            engine: engine,
            ack: ack ?? .memory,
            settings: settings,
            values: values,
            round: round
        )
    }

    func limit(of benchmark: Benchmark, _ crew: Crew) -> Limit {
        let label = "\(benchmark.rawValue) \(crew.label)"
        if let seconds = settings.duration, benchmark != .compact {
            return Limit(
                duration: Clock.nanoseconds(seconds: seconds),
                rate: settings.rate,
                label: label
            )
        }
        return Limit(
            operations: operations(of: benchmark),
            rate: settings.rate,
            label: label
        )
    }

    /// How many each worker does.
    private func operations(of benchmark: Benchmark) -> Int {
        switch benchmark {
        case .fillsync: max(1, settings.num / 1000)
        case .replicaAcks: max(1, settings.num / 100)
        case .compact: 1
        case .feedCatchup: .max
        default: benchmark.reads ? settings.reads : settings.num
        }
    }

    /// What log and segments took in; what still waits for the log is written first.
    func use(of engine: Engine, since before: Engine.Metrics) throws -> Figures.LogUse {
        let syncs = engine.metrics.syncs - before.syncs
        try engine.sync()
        if settings.settles { try engine.waitForCompactions() }
        let after = engine.metrics
        return Figures.LogUse(
            bytesRaw: after.walBytesRaw - before.walBytesRaw,
            bytesStored: after.walBytesStored - before.walBytesStored,
            syncs: syncs,
            flushedBytes: after.flushedBytes - before.flushedBytes,
            compactedBytes: after.compactionWrittenBytes - before.compactionWrittenBytes
        )
    }

    // MARK: - Sync probe

    private mutating func makeProbe() throws -> SyncProbe {
        if !settings.usesExistingDatabase, database.engine == nil { _ = try database.openEmpty() }
        return try SyncProbe(
            in: database.path,
            frameSize: frameSize(),
            seed: settings.seed
        )
    }

    /// The size of a stored frame with one put, found in a store of its own.
    private func frameSize() throws -> Int {
        let path = try TemporaryDirectory.make()
        let engine = try Engine.open(at: path)
        var job = PutJob(context(engine, .wal), .random, worker: 0)
        // The first frame has no dictionary yet.
        _ = try job.step()
        let before = engine.metrics
        for _ in 0..<64 { _ = try job.step() }
        let after = engine.metrics
        try engine.close()
        let frames = max(1, after.frames - before.frames)
        return Int((after.walBytesStored - before.walBytesStored) / frames + 7) & ~7
    }

    private func figures(ofProbe tally: Tally) -> Figures {
        Figures(
            benchmark: "syncprobe",
            ack: nil,
            crew: nil,
            tally: tally,
            log: nil,
            countsFound: false
        )
    }

    /// Lets the sync probe and durable puts take turns, so that both see the same disk.
    private mutating func runInTurns(
        _ crew: Crew,
        _ engine: Engine,
        _ result: inout ProbeComparison?
    ) throws -> Tally {
        let probe = try makeProbe()
        let count = max(Self.probeCount, settings.num / 1000 / Self.roundCount)
        let perWorker = (count + crew.count - 1) / crew.count
        var comparison = ProbeComparison(crew: crew, operationsPerRound: count)
        var probes = Tally()
        var puts = Tally()
        for round in 0..<Self.roundCount {
            let probed = try probe.run(count)
            let limit = Limit(operations: perWorker, rate: settings.rate, label: "fillsync")
            let written = try Benchmark.fillsync.run(
                crew,
                limit,
                context(engine, .disk, round: round)
            )
            comparison.probeMedians.append(probed.latencies.percentile(50))
            comparison.putMedians.append(written.latencies.percentile(50))
            probes.append(probed)
            puts.append(written)
        }
        try report(figures(ofProbe: probes))
        result = comparison
        return puts
    }

    // MARK: - Output

    private func printSettings() throws {
        switch format {
        case .json: try ToolOutput.print(surroundings.json.text)
        case .text:
            for (name, value) in surroundings.members {
                try ToolOutput.print("\(name.leftAligned(26))\(value.plainText)")
            }
            try ToolOutput.print("\n" + TextTable.title)
        }
    }

    mutating func report(_ figures: Figures) throws {
        rows.append(figures)
        switch format {
        case .json: try ToolOutput.print(figures.json.text)
        case .text: try ToolOutput.print(TextTable.row(figures))
        }
    }

    mutating func report(_ comparison: any Comparison) throws {
        comparisons.append(comparison)
        switch format {
        case .json: try ToolOutput.print(comparison.json.text)
        case .text: try ToolOutput.print(comparison.text)
        }
    }

    func writeReport(to path: String) throws {
        try HTMLReport(surroundings, rows, comparisons).write(to: path)
    }
}
