internal import StorageEngine

/// What one step of a job did. A step without operations says that nothing is left to do.
struct Step {
    var operations = 0
    /// Bytes of keys and values.
    var bytes = 0
    var found = 0
}

/// The work of one thread or task, a step of it at a time.
protocol Job: ~Copyable, SendableMetatype {
    /// Does one step; may block the thread.
    mutating func step() throws -> Step
    /// Does one step; suspends where the engine offers that.
    mutating func stepAsync() async throws -> Step
}

extension Job where Self: ~Copyable {
    /// Reads never suspend.
    mutating func stepAsync() async throws -> Step { try step() }
}

/// Compacts the whole store a step.
struct CompactJob: Job {
    let engine: Engine

    mutating func step() throws -> Step {
        try engine.compact()
        return Step(operations: 1)
    }

    mutating func stepAsync() async throws -> Step {
        try await engine.compact()
        return Step(operations: 1)
    }
}

/// What all jobs of a row share.
struct JobContext: Sendable {
    let engine: Engine
    let ack: AckPoint
    let settings: Settings
    let values: ValueSource
    /// Tells the rounds of a row apart, so that their random keys differ.
    var round = 0

    /// Each worker has its own random numbers.
    func random(_ worker: Int) -> SplitMix64 {
        SplitMix64(seed: settings.seed, worker: worker + round * 65_536)
    }

    func keys(_ worker: Int, suffix: [UInt8] = []) -> KeyMaker {
        KeyMaker(
            size: settings.keySize,
            count: settings.num,
            random: random(worker),
            suffix: suffix
        )
    }

    func valueMaker(_ worker: Int) -> ValueMaker { ValueMaker(values, random: random(worker)) }
}
