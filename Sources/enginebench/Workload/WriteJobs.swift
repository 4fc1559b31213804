internal import StorageEngine

/// In which order keys are taken.
enum KeyOrder: Sendable { case sequential, random }

extension KeyMaker {
    mutating func make(_ order: KeyOrder) {
        switch order {
        case .sequential: makeNext()
        case .random: makeRandom()
        }
    }
}

/// Puts one key a step.
struct PutJob: Job {
    private let engine: Engine
    private let ack: AckPoint
    private let order: KeyOrder
    private var keys: KeyMaker
    private var values: ValueMaker

    init(_ context: JobContext, _ order: KeyOrder, worker: Int) {
        engine = context.engine
        ack = context.ack
        self.order = order
        keys = context.keys(worker)
        values = context.valueMaker(worker)
    }

    mutating func step() throws(EngineError) -> Step {
        keys.make(order)
        let range = values.next()
        try engine.put(values.bytes.span.extracting(range), for: keys.bytes, ack: ack)
        return Step(operations: 1, bytes: keys.bytes.count + range.count)
    }

    mutating func stepAsync() async throws -> Step {
        keys.make(order)
        let range = values.next()
        try await engine.put(values.bytes.span.extracting(range), for: keys.bytes, ack: ack)
        return Step(operations: 1, bytes: keys.bytes.count + range.count)
    }
}

/// Puts several keys a step, in one batch.
struct PutBatchJob: ~Copyable, Job {
    private let engine: Engine
    private let ack: AckPoint
    private let order: KeyOrder
    private let size: Int
    private var keys: KeyMaker
    private var values: ValueMaker
    private var batch = WriteBatch()

    init(_ context: JobContext, _ order: KeyOrder, size: Int, worker: Int) {
        engine = context.engine
        ack = context.ack
        self.order = order
        self.size = size
        keys = context.keys(worker)
        values = context.valueMaker(worker)
    }

    mutating func step() throws(EngineError) -> Step {
        let bytes = try fill()
        try engine.write(batch, ack: ack)
        return Step(operations: size, bytes: bytes)
    }

    mutating func stepAsync() async throws -> Step {
        let bytes = try fill()
        try await engine.write(batch, ack: ack)
        return Step(operations: size, bytes: bytes)
    }

    private mutating func fill() throws(EngineError) -> Int {
        batch.removeAll()
        var bytes = 0
        for _ in 0..<size {
            keys.make(order)
            let range = values.next()
            try batch.put(values.bytes.span.extracting(range), for: keys.bytes)
            bytes += keys.bytes.count + range.count
        }
        return bytes
    }
}

/// Deletes one random key a step.
struct DeleteJob: Job {
    private let engine: Engine
    private let ack: AckPoint
    private var keys: KeyMaker

    init(_ context: JobContext, worker: Int) {
        engine = context.engine
        ack = context.ack
        keys = context.keys(worker)
    }

    mutating func step() throws(EngineError) -> Step {
        keys.makeRandom()
        try engine.delete(keys.bytes, ack: ack)
        return Step(operations: 1, bytes: keys.bytes.count)
    }

    mutating func stepAsync() async throws -> Step {
        keys.makeRandom()
        try await engine.delete(keys.bytes, ack: ack)
        return Step(operations: 1, bytes: keys.bytes.count)
    }
}

/// Deletes several random keys a step, in one batch.
struct DeleteBatchJob: ~Copyable, Job {
    private let engine: Engine
    private let ack: AckPoint
    private let size: Int
    private var keys: KeyMaker
    private var batch = WriteBatch()

    init(_ context: JobContext, size: Int, worker: Int) {
        engine = context.engine
        ack = context.ack
        self.size = size
        keys = context.keys(worker)
    }

    mutating func step() throws(EngineError) -> Step {
        try fill()
        try engine.write(batch, ack: ack)
        return Step(operations: size, bytes: size * keys.bytes.count)
    }

    mutating func stepAsync() async throws -> Step {
        try fill()
        try await engine.write(batch, ack: ack)
        return Step(operations: size, bytes: size * keys.bytes.count)
    }

    private mutating func fill() throws(EngineError) {
        batch.removeAll()
        for _ in 0..<size {
            keys.makeRandom()
            try batch.delete(keys.bytes)
        }
    }
}
