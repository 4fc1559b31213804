internal import StorageEngine
internal import ToolSupport

/// What a live consumer costs the writers, and itself; rounds with and without one took turns.
struct FeedComparison: Comparison {
    let ack: AckPoint
    let crew: Crew
    var operationsPerRound = 0
    /// Operations a second of each round.
    var aloneRates: [Double] = []
    var besideRates: [Double] = []
    /// Medians of the rounds' latencies, in microseconds; they do not depend on what else the
    /// machine does, as long as that is not all the time.
    var aloneMedians: [Double] = []
    var besideMedians: [Double] = []
    /// Records that the consumers got, and the processor time of their threads.
    var records = 0
    var cpuTime: UInt64 = 0
    /// How often one of them had to read from files.
    var fileReads: UInt64 = 0
    /// Records a second from memory, of each filling.
    var memoryRates: [Double] = []

    init(ack: AckPoint, crew: Crew) {
        self.ack = ack
        self.crew = crew
    }

    private var alone: Double { median(aloneRates) }
    private var beside: Double { median(besideRates) }
    /// What part of the rate the consumer takes, the median over the rounds.
    var slowdown: Double {
        median(zip(aloneRates, besideRates).map { $0 > 0 ? 1 - $1 / $0 : 0 })
    }
    /// In microseconds.
    private var timePerRecord: Double {
        records > 0 ? Double(cpuTime) / Double(records) / 1000 : 0
    }

    var json: JSON {
        .object([
            ("benchmark", .string("feed-tail-vs-fillseq")),
            ("ack", .string(ack.name)),
            (crew.memberName, .integer(crew.count)),
            ("rounds", .integer(aloneRates.count)),
            ("operationsPerRound", .integer(operationsPerRound)),
            ("fillseqOperationsPerSecond", .number(alone)),
            ("feedTailOperationsPerSecond", .number(beside)),
            ("slowdown", .number(slowdown)),
            ("fillseqP50Microseconds", .number(median(aloneMedians))),
            ("feedTailP50Microseconds", .number(median(besideMedians))),
            ("records", .integer(records)),
            ("fileReads", .unsigned(fileReads)),
            ("consumerMicrosecondsPerRecord", .number(timePerRecord)),
            ("memoryRecordsPerSecond", .number(median(memoryRates))),
        ])
    }

    var text: String {
        "fillseq \(alone.text(decimals: 0)) ops/s, with a consumer "
            + "\(beside.text(decimals: 0)), slow-down \((slowdown * 100).text(decimals: 1)) % "
            + "(medians of \(aloneRates.count) rounds of \(operationsPerRound), in turns), p50 "
            + "\(median(aloneMedians).compactText) µs and \(median(besideMedians).compactText); "
            + "\(records) records consumed at \(timePerRecord.compactText) µs of processor time, "
            + "\(fileReads) times from files; from memory "
            + "\(median(memoryRates).text(decimals: 0)) records/s"
    }
}
