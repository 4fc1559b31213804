internal import StorageEngine
internal import ToolSupport

/// The figures of one row.
struct Figures: Sendable {
    var benchmark: String
    /// `nil` where nothing is written to the engine.
    let ack: AckPoint?
    /// `nil` where nothing is counted but latencies: for the sync probe.
    var crew: Crew?
    let tally: Tally
    /// What the row added to the log; `nil` where nothing is written to the engine.
    let log: LogUse?
    /// Whether the row looks for keys.
    let countsFound: Bool
    /// What a row's writes wait for besides ``ack``; `nil` where nothing is replicated.
    var replicas: String?

    /// What a row added to the log, and flushes and compactions to segments meanwhile.
    struct LogUse: Sendable {
        let bytesRaw: UInt64
        let bytesStored: UInt64
        let syncs: UInt64
        let flushedBytes: UInt64
        let compactedBytes: UInt64

        /// Bytes written to log and segments for each byte of records.
        var writeAmplification: Double? {
            guard bytesRaw > 0 else { return nil }
            return Double(bytesStored + flushedBytes + compactedBytes) / Double(bytesRaw)
        }
    }

    static let percentiles: [(name: String, percent: Double)] = [
        ("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9), ("p9999", 99.99),
    ]

    var seconds: Double { Double(tally.elapsed) / 1e9 }
    var operationsPerSecond: Double { tally.operationsPerSecond }
    var bytesPerSecond: Double { seconds > 0 ? Double(tally.bytes) / seconds : 0 }

    /// What an operation takes from one worker, in microseconds, as db_bench says it.
    var microsecondsPerOperation: Double {
        guard tally.operations > 0 else { return 0 }
        return seconds * 1e6 * Double(crew?.count ?? 1) / Double(tally.operations)
    }

    func microseconds(percentile: Double) -> Double {
        Double(tally.latencies.percentile(percentile)) / 1000
    }

    /// Names the row in a chart.
    var label: String {
        let point = ack.map { " " + $0.name } ?? ""
        let asked = replicas.map { " " + $0 } ?? ""
        return benchmark + point + asked + (crew.map { " " + $0.label } ?? "")
    }

    private var latency: JSON {
        let mean: [(name: String, value: JSON)] = [
            ("mean", .number(tally.latencies.mean / 1000))
        ]
        let percentiles = Self.percentiles.map { entry in
            (name: entry.name, value: JSON.number(microseconds(percentile: entry.percent)))
        }
        let greatest: [(name: String, value: JSON)] = [
            ("max", .number(Double(tally.latencies.greatest) / 1000))
        ]
        return .object(mean + percentiles + greatest)
    }

    var json: JSON {
        var members: [(name: String, value: JSON)] = [("benchmark", .string(benchmark))]
        if let ack { members.append(("ack", .string(ack.name))) }
        if let replicas { members.append(("replicas", .string(replicas))) }
        if let crew { members.append((crew.memberName, .integer(crew.count))) }
        members.append(("operations", .integer(tally.operations)))
        if crew != nil {
            members += [
                ("seconds", .number(seconds)),
                ("operationsPerSecond", .number(operationsPerSecond)),
                ("bytesPerSecond", .number(bytesPerSecond)),
            ]
        }
        members.append(("latencyMicroseconds", latency))
        if let log {
            members += [
                ("walBytesRaw", .integer(Int(log.bytesRaw))),
                ("walBytesStored", .integer(Int(log.bytesStored))),
                ("syncs", .integer(Int(log.syncs))),
                ("flushedBytes", .integer(Int(log.flushedBytes))),
                ("compactedBytes", .integer(Int(log.compactedBytes))),
            ]
            if let amplification = log.writeAmplification {
                members.append(("writeAmplification", .number(amplification)))
            }
        }
        if countsFound { members.append(("found", .integer(tally.found))) }
        if let rate = tally.writesPerSecond {
            members.append(("writesPerSecond", .number(rate)))
        }
        return .object(members)
    }
}

/// What a line behind the rows says of two that ran in turns.
protocol Comparison: Sendable {
    var json: JSON { get }
    var text: String { get }
}

/// How durable puts compare to the sync probe, when both ran in turns.
struct ProbeComparison: Comparison {
    let crew: Crew
    let operationsPerRound: Int
    /// Medians of each round, in nanoseconds.
    var putMedians: [UInt64] = []
    var probeMedians: [UInt64] = []

    init(crew: Crew, operationsPerRound: Int) {
        self.crew = crew
        self.operationsPerRound = operationsPerRound
    }

    private var put: Double { median(putMedians.map(Double.init)) / 1000 }
    private var probe: Double { median(probeMedians.map(Double.init)) / 1000 }
    private var ratio: Double { probe > 0 ? put / probe : 0 }

    var json: JSON {
        .object([
            ("benchmark", .string("fillsync-vs-syncprobe")),
            (crew.memberName, .integer(crew.count)),
            ("rounds", .integer(putMedians.count)),
            ("operationsPerRound", .integer(operationsPerRound)),
            ("fillsyncP50Microseconds", .number(put)),
            ("syncprobeP50Microseconds", .number(probe)),
            ("ratio", .number(ratio)),
        ])
    }

    var text: String {
        "fillsync p50 \(put.compactText) µs, sync probe p50 \(probe.compactText) µs, "
            + "ratio \(ratio.text(decimals: 3)) (medians of \(putMedians.count) rounds of "
            + "\(operationsPerRound), in turns)"
    }
}

/// The value in the middle; 0 of none.
func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    guard let last = sorted.indices.last else { return 0 }
    return (sorted[last / 2] + sorted[(last + 1) / 2]) / 2
}
