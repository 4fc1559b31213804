internal import StorageEngine
internal import Synchronization

/// A consumer of changes on a thread of its own, beside the writers of a round.
///
/// Thread safety: one thread makes and stops it.
final class FeedConsumer: @unchecked Sendable {
    /// What it did; read when it has ended.
    private(set) var records = 0
    /// Bytes of keys and values.
    private(set) var bytes = 0
    /// Processor time of its thread, in nanoseconds.
    private(set) var cpuTime: UInt64 = 0
    /// When it got each record; empty unless that was asked for.
    private(set) var arrivals: [UInt64] = []
    private var failure: (any Error)?
    /// The sequence with which it ends.
    private let last = Atomic<UInt64>(.max)
    private let engine: Engine
    private var thread: WorkerThread?

    /// Begins behind what is there now; when this returns the engine knows of it.
    init(_ engine: Engine, upTo horizon: AckPoint, notesArrivals: Bool = false) throws {
        self.engine = engine
        let box = CursorBox(try engine.changeCursor(after: engine.position(), upTo: horizon))
        thread = WorkerThread(name: "bench-consumer") { [self] in
            do { try consume(box, notesArrivals) } catch { failure = error }
        }
    }

    /// Hands a cursor to the thread that owns it from then on.
    private final class CursorBox: @unchecked Sendable {
        var cursor: ChangeCursor

        init(_ cursor: consuming ChangeCursor) { self.cursor = cursor }
    }

    private func consume(_ box: CursorBox, _ notesArrivals: Bool) throws {
        let start = Clock.threadTime
        var (records, bytes) = (0, 0)
        while try box.cursor.next(waits: true) {
            let record = box.cursor.record
            if record.position.sequence >= last.load(ordering: .relaxed) { break }
            records += 1
            record.forEachOperation { _, key, value in bytes += key.count + value.count }
            if notesArrivals { arrivals.append(Clock.now) }
        }
        cpuTime = Clock.threadTime - start
        (self.records, self.bytes) = (records, bytes)
    }

    /// Waits until it has got everything. Nobody else writes meanwhile: one more write tells it
    /// that nothing follows.
    func stop() throws {
        last.store(engine.lastSequence + 1, ordering: .relaxed)
        try engine.put([], for: "end", ack: .disk)
        thread?.join()
        thread = nil
        if let failure { throw failure }
    }
}
