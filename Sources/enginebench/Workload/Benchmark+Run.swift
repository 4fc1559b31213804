extension Benchmark {
    /// Measures one round of a row.
    func run(_ crew: Crew, _ limit: Limit, _ context: JobContext) throws -> Tally {
        switch self {
        case .put, .fillrandom, .fillsync, .overwrite:
            try runPuts(.random, crew, limit, context)
        case .fillseq, .fillbatch, .feedTail:
            try runPuts(.sequential, crew, limit, context)
        case .deleterandom:
            try runDeletes(crew, limit, context)
        case .readrandom:
            try crew.run(limit) { ReadJob(context, worker: $0) }
        case .readmissing:
            try crew.run(limit) { ReadJob(context, suffix: Array(".".utf8), worker: $0) }
        case .seekrandom:
            try crew.run(limit) { SeekJob(context, worker: $0) }
        case .readseq:
            try crew.run(limit) { _ in try ForwardJob(context) }
        case .readreverse:
            try crew.run(limit) { _ in try BackwardJob(context) }
        case .readwhilewriting:
            try runReadsBesideWriter(crew, limit, context)
        case .ycsbA, .ycsbB, .ycsbC, .ycsbD, .ycsbE, .ycsbF:
            try runMix(crew, limit, context)
        case .compact:
            try crew.run(limit) { _ in CompactJob(engine: context.engine) }
        case .feedCatchup:
            try crew.run(limit) { _ in try CatchUpJob(context) }
        case .replicaAcks, .replicaLag, .replicaCatchup, .replicaCopy:
            preconditionFailure("\(rawValue) has no store of its own")
        }
    }

    private func runMix(_ crew: Crew, _ limit: Limit, _ context: JobContext) throws -> Tally {
        guard let mix else { return Tally() }
        let keys = try MixedKeys(context, mix)
        return try crew.run(limit) { MixedJob(context, mix, keys, worker: $0) }
    }

    private func runReadsBesideWriter(
        _ crew: Crew,
        _ limit: Limit,
        _ context: JobContext
    ) throws -> Tally {
        let size = context.settings.batchSize ?? 1
        let rate = context.settings.writeRate
        let writer =
            size > 1
            ? BackgroundJob(rate: rate) {
                PutBatchJob(context, .random, size: size, worker: crew.count)
            } : BackgroundJob(rate: rate) { PutJob(context, .random, worker: crew.count) }
        let reads = Result { try crew.run(limit) { ReadJob(context, worker: $0) } }
        let writesPerSecond = try writer.stop()
        var tally = try reads.get()
        tally.writesPerSecond = writesPerSecond
        return tally
    }

    private func runPuts(
        _ order: KeyOrder,
        _ crew: Crew,
        _ limit: Limit,
        _ context: JobContext
    ) throws -> Tally {
        let size = context.settings.batchSize ?? (self == .fillbatch ? 100 : 1)
        guard size > 1 else {
            return try crew.run(limit) { PutJob(context, order, worker: $0) }
        }
        return try crew.run(limit) { PutBatchJob(context, order, size: size, worker: $0) }
    }

    private func runDeletes(_ crew: Crew, _ limit: Limit, _ context: JobContext) throws -> Tally {
        let size = context.settings.batchSize ?? 1
        guard size > 1 else { return try crew.run(limit) { DeleteJob(context, worker: $0) } }
        return try crew.run(limit) { DeleteBatchJob(context, size: size, worker: $0) }
    }
}
