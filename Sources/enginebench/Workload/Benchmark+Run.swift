extension Benchmark {
    /// Measures one round of a row.
    func run(_ crew: Crew, _ limit: Limit, _ context: JobContext) throws -> Tally {
        switch self {
        case .put, .fillrandom, .fillsync, .overwrite:
            try runPuts(.random, crew, limit, context)
        case .fillseq, .fillbatch:
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
        }
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
