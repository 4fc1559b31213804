internal import StorageEngine
internal import ToolSupport

/// What each requirement adds to the latency of a put, against a store that nobody follows.
struct ReplicaComparison: Comparison {
    let ack: AckPoint
    let crew: Crew
    let followers: Int
    /// The row of the store that nobody follows.
    private let alone: Tally
    private var rows: [(name: String, tally: Tally)] = []

    init(ack: AckPoint, crew: Crew, followers: Int, alone: Tally) {
        self.ack = ack
        self.crew = crew
        self.followers = followers
        self.alone = alone
    }

    mutating func add(_ row: ReplicaRow, _ tally: Tally) { rows.append((row.name, tally)) }

    /// In microseconds; below zero when the row was the faster one.
    private func added(_ tally: Tally, _ percent: Double) -> Double {
        let own = Double(tally.latencies.percentile(percent))
        return (own - Double(alone.latencies.percentile(percent))) / 1000
    }

    var json: JSON {
        .object([
            ("benchmark", .string("replica-acks-added")),
            ("ack", .string(ack.name)),
            (crew.memberName, .integer(crew.count)),
            ("followers", .integer(followers)),
            (
                "addedMicroseconds",
                .array(
                    rows.map { row in
                        .object([
                            ("replicas", .string(row.name)),
                            ("p50", .number(added(row.tally, 50))),
                            ("p99", .number(added(row.tally, 99))),
                        ])
                    }
                )
            ),
        ])
    }

    var text: String {
        let texts = rows.map { row in
            "\(row.name) \(added(row.tally, 50).compactText) / \(added(row.tally, 99).compactText)"
        }
        return "added to the p50 / p99 of a store that nobody follows, at \(ack.name), "
            + "\(crew.label), \(followers) followers, in µs: " + texts.joined(separator: ", ")
    }
}

/// How far followers are behind while the leader is written to.
struct ReplicaLag: Comparison {
    let ack: AckPoint
    let crew: Crew
    let followers: Int
    /// Behind the leader, in sequences, of each sample.
    var sequences = Latencies()
    /// From the end of the load until everybody had everything, in nanoseconds.
    var settling: UInt64 = 0

    init(ack: AckPoint, crew: Crew, followers: Int) {
        self.ack = ack
        self.crew = crew
        self.followers = followers
    }

    var json: JSON {
        .object([
            ("benchmark", .string("replica-lag-behind")),
            ("ack", .string(ack.name)),
            (crew.memberName, .integer(crew.count)),
            ("followers", .integer(followers)),
            ("sequencesP50", .unsigned(sequences.percentile(50))),
            ("sequencesP99", .unsigned(sequences.percentile(99))),
            ("sequencesMax", .unsigned(sequences.greatest)),
            ("settlingMilliseconds", .number(Double(settling) / 1e6)),
        ])
    }

    var text: String {
        "behind the leader by \(sequences.percentile(50)) / \(sequences.percentile(99)) / "
            + "\(sequences.greatest) sequences (p50 / p99 / most of the slowest of \(followers)); "
            + "everybody had everything \((Double(settling) / 1e6).text(decimals: 1)) ms after "
            + "the last write"
    }
}
