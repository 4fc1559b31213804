internal import StorageEngine

/// Reads the history from the oldest log file on, so many records a step.
struct CatchUpJob: ~Copyable, Job {
    private var cursor: ChangeCursor
    /// A reading of the clock must not cost as much as a record.
    private static let stepSize = 100

    init(_ context: JobContext) throws {
        do throws(EngineError) {
            cursor = try context.engine.changeCursor(after: .start, upTo: .wal)
        } catch {
            guard error.code == .trimmed, let oldest = error.sequence else { throw error }
            cursor = try context.engine.changeCursor(
                after: Position(sequence: oldest),
                upTo: .wal
            )
        }
    }

    mutating func step() throws(EngineError) -> Step {
        var step = Step()
        while step.operations < Self.stepSize, try cursor.next() {
            step.operations += 1
            cursor.record.forEachOperation { _, key, value in
                step.bytes += key.count + value.count
            }
        }
        step.found = step.operations
        return step
    }
}

/// Writes records while nobody reads them, then reads them from memory, so many at a time.
struct MemoryFeed: ~Copyable {
    private var writer: PutJob
    private var cursor: ChangeCursor
    private let filling: Int
    private static let batchSize = 100

    init(_ context: JobContext) throws {
        writer = PutJob(context, .sequential, worker: 0)
        cursor = try context.engine.changeCursor(
            after: context.engine.position(),
            upTo: .memory
        )
        let recordSize = context.settings.keySize + context.settings.valueSize + 128
        filling = max(Self.batchSize, (2 << 20) / recordSize)
    }

    /// Fills the memory once, and measures the reading.
    mutating func run() throws -> Tally {
        for _ in 0..<filling { _ = try writer.step() }
        var tally = Tally()
        let start = Clock.now
        var last = start
        while tally.operations < filling {
            var step = Step()
            while step.operations < Self.batchSize, try cursor.next() {
                step.operations += 1
                cursor.record.forEachOperation { _, key, value in
                    step.bytes += key.count + value.count
                }
            }
            guard step.operations > 0 else { break }
            let now = Clock.now
            tally.record(step, nanoseconds: now - last)
            last = now
        }
        tally.elapsed = last - start
        return tally
    }
}
