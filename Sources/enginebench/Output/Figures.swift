internal import StorageEngine
internal import ToolSupport

/// The figures of one row.
struct Figures: Sendable {
    let benchmark: String
    /// `nil` where nothing is written to the engine.
    let ack: AckPoint?
    /// `nil` for the sync probe.
    let crew: Crew?
    let tally: Tally
    /// What the row added to the log; `nil` where nothing is written to the engine.
    let log: LogUse?
    /// Whether the row looks for keys.
    let countsFound: Bool

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
    var operationsPerSecond: Double { perSecond(tally.operations) }
    var bytesPerSecond: Double { perSecond(tally.bytes) }

    /// What an operation takes from one worker, in microseconds, as db_bench says it.
    var microsecondsPerOperation: Double {
        guard tally.operations > 0 else { return 0 }
        return seconds * 1e6 * Double(crew?.count ?? 1) / Double(tally.operations)
    }

    private func perSecond(_ count: Int) -> Double { seconds > 0 ? Double(count) / seconds : 0 }

    func microseconds(percentile: Double) -> Double {
        Double(tally.latencies.percentile(percentile)) / 1000
    }

    /// Names the row in a chart.
    var label: String {
        let point = ack.map { " " + $0.name } ?? ""
        return benchmark + point + (crew.map { " " + $0.label } ?? "")
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

/// How durable puts compare to the sync probe, when both ran in turns.
struct ProbeComparison: Sendable {
    let crew: Crew
    let operationsPerRound: Int
    /// Medians of each round, in nanoseconds.
    var putMedians: [UInt64] = []
    var probeMedians: [UInt64] = []

    init(crew: Crew, operationsPerRound: Int) {
        self.crew = crew
        self.operationsPerRound = operationsPerRound
    }

    var put: Double { Self.median(putMedians) / 1000 }
    var probe: Double { Self.median(probeMedians) / 1000 }
    var ratio: Double { probe > 0 ? put / probe : 0 }

    private static func median(_ values: [UInt64]) -> Double {
        let sorted = values.sorted()
        guard let last = sorted.indices.last else { return 0 }
        return (Double(sorted[last / 2]) + Double(sorted[(last + 1) / 2])) / 2
    }

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
}
