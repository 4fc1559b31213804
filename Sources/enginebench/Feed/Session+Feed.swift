internal import StorageEngine

extension Session {
    /// The rounds in which writers have a consumer beside them, or have none.
    private static let feedRoundCount = 5
    /// Writes that are measured one by one, and how many of them there are a second.
    private static let trickleCount = 2000
    private static let trickleRate = 1000.0
    /// How often memory is filled and read.
    private static let fillingCount = 50

    /// Measures fillseq alone and with a consumer in turns, then how long single writes take to the
    /// consumer, then how fast one reads from memory.
    mutating func runFeedTail(_ ack: AckPoint, _ crew: Crew) throws {
        let limit = limit(of: .fillseq, crew)
        var comparison = FeedComparison(ack: ack, crew: crew)
        var (alone, beside) = (Tally(), Tally())
        var uses: [Figures.LogUse] = []
        for _ in 0..<Self.feedRoundCount {
            var engine = try database.openEmpty()
            let first = try Benchmark.fillseq.run(crew, limit, context(engine, ack))
            comparison.aloneRates.append(first.operationsPerSecond)
            comparison.aloneMedians.append(Double(first.latencies.percentile(50)) / 1000)
            alone.append(first)

            engine = try database.openEmpty()
            let before = engine.metrics
            let consumer = try FeedConsumer(engine, upTo: ack)
            let second = try Benchmark.fillseq.run(crew, limit, context(engine, ack))
            uses.append(try use(of: engine, since: before))
            try consumer.stop()
            comparison.besideRates.append(second.operationsPerSecond)
            comparison.besideMedians.append(Double(second.latencies.percentile(50)) / 1000)
            beside.append(second)
            comparison.records += consumer.records
            comparison.cpuTime += consumer.cpuTime
            comparison.fileReads += engine.metrics.consumerFileReads
        }
        comparison.operationsPerRound = beside.operations / Self.feedRoundCount
        try report(feedFigures("fillseq", ack, crew, alone, nil))
        try report(feedFigures("feed-tail", ack, crew, beside, uses.last))
        let trickle = try runTrickle(ack)
        try report(feedFigures("feed-latency", ack, nil, trickle, nil))
        let memory = try runFromMemory(&comparison)
        try report(feedFigures("feed-memory", nil, .threads(1), memory, nil))
        try report(comparison)
    }

    private func feedFigures(
        _ name: String,
        _ ack: AckPoint?,
        _ crew: Crew?,
        _ tally: Tally,
        _ log: Figures.LogUse?
    ) -> Figures {
        Figures(
            benchmark: name,
            ack: ack,
            crew: crew,
            tally: tally,
            log: log,
            countsFound: false
        )
    }

    /// From the call of a put to the moment when the consumer has the record, with pauses between.
    private mutating func runTrickle(_ ack: AckPoint) throws -> Tally {
        let engine = try database.openEmpty()
        let consumer = try FeedConsumer(engine, upTo: ack, notesArrivals: true)
        var job = PutJob(context(engine, ack), .sequential, worker: 0)
        let pace = Pace(rate: Self.trickleRate, start: Clock.now, worker: 0, of: 1)
        var calls: [UInt64] = []
        var tally = Tally()
        for index in 0..<min(settings.num, Self.trickleCount) {
            _ = pace.wait(after: index)
            calls.append(Clock.now)
            _ = try job.step()
        }
        try consumer.stop()
        for (call, arrival) in zip(calls, consumer.arrivals) {
            tally.record(Step(operations: 1), nanoseconds: arrival - call)
        }
        return tally
    }

    private mutating func runFromMemory(_ comparison: inout FeedComparison) throws -> Tally {
        var feed = try MemoryFeed(context(database.openEmpty(), .memory))
        var all = Tally()
        for _ in 0..<Self.fillingCount {
            let tally = try feed.run()
            comparison.memoryRates.append(tally.operationsPerSecond)
            all.append(tally)
        }
        return all
    }
}
