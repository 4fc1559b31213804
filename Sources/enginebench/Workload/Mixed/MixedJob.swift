internal import StorageEngine

/// Reads or writes one key a step, or reads a few from one on, as a mix says.
struct MixedJob: Job {
    private let engine: Engine
    private let ack: AckPoint
    private let mix: Mix
    private let keyCount: UInt64
    private let insertions: Insertions?
    private var chooser: KeyChooser
    private var keys: KeyMaker
    private var values: ValueMaker
    private var random: SplitMix64

    /// Tells the random choices of a worker from its keys and values.
    private static let choices = 32_768

    init(_ context: JobContext, _ mix: Mix, _ shared: MixedKeys, worker: Int) {
        engine = context.engine
        ack = context.ack
        self.mix = mix
        keyCount = UInt64(context.settings.num)
        insertions = shared.insertions
        chooser = shared.chooser
        keys = context.keys(worker)
        values = context.valueMaker(worker)
        random = context.random(worker + Self.choices)
    }

    mutating func step() throws -> Step {
        guard let write = nextWrite() else { return try read() }
        var (step, number) = try prepare(write)
        let range = values.next()
        try engine.put(values.bytes.span.extracting(range), for: keys.bytes, ack: ack)
        if let number { insertions?.note(number) }
        step.bytes += keys.bytes.count + range.count
        return step
    }

    mutating func stepAsync() async throws -> Step {
        guard let write = nextWrite() else { return try read() }
        var (step, number) = try prepare(write)
        let range = values.next()
        try await engine.put(values.bytes.span.extracting(range), for: keys.bytes, ack: ack)
        if let number { insertions?.note(number) }
        step.bytes += keys.bytes.count + range.count
        return step
    }

    /// What the next step writes; `nil` when it reads.
    private mutating func nextWrite() -> Mix.Write? {
        random.next(below: 100) < mix.readPercent ? nil : mix.write
    }

    private mutating func makeChosenKey() {
        let count = mix.distribution == .latest ? insertions?.keyCount : nil
        keys.make(chooser.next(below: count ?? keyCount, &random))
    }

    /// Makes the key of a write, whose number comes back when it is a new one.
    private mutating func prepare(_ write: Mix.Write) throws -> (Step, number: UInt64?) {
        switch write {
        case .update:
            makeChosenKey()
            return (Step(operations: 1), nil)
        case .readModifyWrite:
            makeChosenKey()
            return (try engine.lookUp(keys.bytes), nil)
        case .insert:
            let number = try insertions?.claim()
            if let number { keys.make(number) }
            return (Step(operations: 1), number)
        }
    }

    private mutating func read() throws -> Step {
        makeChosenKey()
        switch mix.read {
        case .lookup: return try engine.lookUp(keys.bytes)
        case .scan(let counts):
            let count = counts.lowerBound + random.next(below: UInt64(counts.count))
            return try scan(count)
        }
    }

    /// Reads entries from the key on, in one snapshot.
    private func scan(_ count: UInt64) throws -> Step {
        var cursor = try engine.makeSnapshot().cursor()
        var result = Step(operations: 1)
        var found = try cursor.seek(to: keys.bytes)
        var left = count
        while found {
            result.bytes += cursor.read().bytes
            result.found = 1
            left -= 1
            found = left > 0 ? try cursor.next() : false
        }
        return result
    }
}

/// What the workers of a mixed row share, or begin with.
struct MixedKeys: Sendable {
    let chooser: KeyChooser
    /// `nil` when the mix inserts nothing.
    let insertions: Insertions?

    init(_ context: JobContext, _ mix: Mix) throws {
        let count = try Self.keyCount(context)
        chooser = KeyChooser(mix.distribution, count: count)
        insertions =
            mix.write == .insert
            ? Insertions(from: count, keySize: context.settings.keySize) : nil
    }

    /// One more than the number of the last key: rows before may have inserted some.
    private static func keyCount(_ context: JobContext) throws -> UInt64 {
        let count = UInt64(context.settings.num)
        var cursor = try context.engine.makeSnapshot().cursor()
        guard try cursor.seekToLast() else { return count }
        guard let last = KeyMaker.number(of: cursor.key) else { return count }
        return max(count, last + 1)
    }
}
