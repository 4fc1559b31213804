import Glibc
import StorageEngine
import StorageEngineTestSupport
import Synchronization

/// Writes a known history while eight consumers of different kinds and speeds read it, on the real
/// disk and with the engine's own threads. Each of them must get exactly its writes, or a typed
/// error; and the log must stay within its bound all the while.
struct FeedRun {
    /// How many writes.
    let count: UInt64
    let path: String

    private static let logFileSize: UInt64 = 2 << 20
    private static let writeBufferSize = 4 << 20
    private static let slotsLogSize: UInt64 = 64 << 20
    /// The writer waits for consumers that are this many writes behind.
    private static let aheadMax: UInt64 = 200_000
    /// What the log files may take: what slots may keep, what three indexes in memory need, the
    /// file that is appended to and the next, and as much again on its way out.
    private static let logSizeMax =
        slotsLogSize + 3 * UInt64(writeBufferSize) + 4 * (logFileSize + (1 << 20))

    private static var options: Engine.Options {
        var options = Engine.Options()
        options.logFileSize = logFileSize
        options.writeBufferSize = writeBufferSize
        options.slotsLogSize = slotsLogSize
        options.retainedLogSize = 32 << 20
        return options
    }

    func run() throws {
        let engine = try Engine.open(at: path, options: Self.options)
        guard engine.lastSequence == 0 else { throw SimulationFailure("the store is not new") }
        let lost = LostSlots(engine)
        let readers = Readers()
        let watch = LogSizeWatch(engine, sizeMax: Self.logSizeMax)
        try FeedConsumers(engine: engine, count: count).start(readers)
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        try write(engine, readers)
        let seconds = Double(time.monotonicNanoseconds - start) / 1e9
        readers.join()
        let sizeMax = try watch.stop()
        let metrics = engine.metrics
        print("\(count) writes in \(seconds) s beside \(readers.all.count) consumers")
        print("log: at most \(sizeMax) bytes of files, \(Self.logSizeMax) are its bound")
        print("consumers went to log files \(metrics.consumerFileReads) times")
        try check(readers, end: engine.position())
        try engine.verifyEverything()
        try checkSlots(engine)
        try engine.close()
        guard lost.names == ["paused"] else {
            throw SimulationFailure("slots were lost: \(lost.names.sorted())")
        }
        try checkReopened()
        print("every consumer got its writes, each once and in order")
    }

    private func write(_ engine: Engine, _ readers: Readers) throws {
        var batch = WriteBatch()
        for number in 1...count {
            try FeedHistory.fill(number, &batch)
            let ack: AckPoint = number % 20_000 == 0 ? .disk : .wal
            let receipt = try engine.write(batch, ack: ack)
            guard receipt.position.sequence == number else {
                throw SimulationFailure("write \(number) got sequence \(receipt.position.sequence)")
            }
            while number % 1024 == 0, number - min(number, readers.slowest) > Self.aheadMax {
                usleep(1000)
            }
        }
        try engine.sync()
    }

    private func check(_ readers: Readers, end: Position) throws {
        var isGood = true
        for reader in readers.all {
            let remarks = reader.remarks.map { ", " + $0 }.joined()
            print("\(reader.name): \(reader.records) writes\(remarks)")
            if let failure = reader.failure {
                print("\(reader.name): FAILED: \(failure)")
                isGood = false
            } else if reader.position != end {
                print("\(reader.name): FAILED: ended at \(reader.position), expected \(end)")
                isGood = false
            }
        }
        guard isGood else { throw SimulationFailure("a consumer missed its sequence") }
    }

    private func checkSlots(_ engine: Engine) throws {
        let slots = engine.slots
        guard slots.map(\.name) == FeedConsumers.slotNames else {
            throw SimulationFailure("the slots are \(slots.map(\.name))")
        }
        for slot in slots where slot.isLost || slot.lagSequences > 0 {
            throw SimulationFailure("slot \(slot.name) ends at \(slot.position)")
        }
    }

    private func checkReopened() throws {
        let engine = try Engine.open(at: path, options: Self.options)
        try checkSlots(engine)
        for name in FeedConsumers.slotNames {
            var cursor = try engine.changeCursor(slot: name)
            guard try !cursor.next() else { throw SimulationFailure("\(name) gets a write twice") }
        }
        try engine.close()
    }
}

extension Engine {
    fileprivate func verifyEverything() throws {
        let report = try verify()
        print("verified: \(report.records) records in \(report.files) log files")
    }
}

/// Notes which slots an engine says are lost.
///
/// Thread safety: every method may be called from any thread.
private final class LostSlots: @unchecked Sendable {
    private let lock = Lock()
    private let changed = Condition()
    private var found: Set<String> = []
    private var isFinished = false

    init(_ engine: Engine) {
        let events = engine.events
        Task.detached { [self] in
            for await case .slotLost(let name, _) in events {
                lock.with { _ = found.insert(name) }
            }
            lock.with {
                isFinished = true
                changed.broadcast()
            }
        }
    }

    /// All of them, once the engine is closed.
    var names: Set<String> {
        lock.with {
            while !isFinished { changed.wait(lock) }
            return found
        }
    }
}

/// Looks at the sizes of the log files all the time.
///
/// Thread safety: one thread makes and stops it.
private final class LogSizeWatch: @unchecked Sendable {
    private let isStopped = Atomic(false)
    private var greatest: UInt64 = 0
    private var failure: (any Error)?
    private var thread: WorkerThread?

    init(_ engine: Engine, sizeMax: UInt64) {
        thread = WorkerThread(name: "feed-watch") { [self] in
            do {
                while !isStopped.load(ordering: .relaxed) {
                    let size = try engine.space().logBytes
                    greatest = max(greatest, size)
                    guard size <= sizeMax else {
                        throw SimulationFailure(
                            "the log files take \(size) bytes, \(sizeMax) are allowed"
                        )
                    }
                    usleep(20_000)
                }
            } catch {
                failure = error
            }
        }
    }

    /// The most that they took.
    func stop() throws -> UInt64 {
        isStopped.store(true, ordering: .relaxed)
        thread?.join()
        if let failure { throw failure }
        return greatest
    }
}
