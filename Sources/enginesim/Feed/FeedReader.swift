import StorageEngine
import Synchronization

/// A consumer of a run, on a thread or in a task, and how far it is.
///
/// Thread safety: `progress` may be read from any thread; the rest belongs to the consumer until
/// ``Readers/join()`` has returned.
final class FeedReader: @unchecked Sendable {
    let name: String
    /// Whether the writer waits for it before it is lost for want of processors.
    let isAwaited: Bool
    let progress = Atomic<UInt64>(0)
    var position = Position.start
    var records: UInt64 = 0
    /// What else there is to tell.
    var remarks: [String] = []
    var failure: (any Error)?

    init(_ name: String, isAwaited: Bool = true) {
        self.name = name
        self.isAwaited = isAwaited
    }

    func note(_ check: FeedCheck) {
        position = check.position
        records = check.records
        progress.store(check.position.sequence, ordering: .relaxed)
    }
}

/// The consumers of a run.
///
/// Thread safety: one thread adds to them and joins them.
final class Readers: @unchecked Sendable {
    private(set) var all: [FeedReader] = []
    private var threads: [WorkerThread] = []
    private let lock = Lock()
    private let changed = Condition()
    private var taskCount = 0

    /// Runs a consumer on a thread of its own.
    func start(_ reader: FeedReader, _ body: @escaping @Sendable (FeedReader) throws -> Void) {
        all.append(reader)
        threads.append(
            WorkerThread(name: "feed-\(reader.name)") {
                do { try body(reader) } catch { Self.fail(reader, error) }
            }
        )
    }

    /// Runs a consumer in a task.
    func startTask(
        _ reader: FeedReader,
        _ body: @escaping @Sendable (FeedReader) async throws -> Void
    ) {
        all.append(reader)
        lock.with { taskCount += 1 }
        Task.detached { [self] in
            do { try await body(reader) } catch { Self.fail(reader, error) }
            lock.with {
                taskCount -= 1
                changed.broadcast()
            }
        }
    }

    /// A failed one holds nobody up.
    private static func fail(_ reader: FeedReader, _ error: any Error) {
        reader.failure = error
        reader.progress.store(.max, ordering: .relaxed)
    }

    /// How far the last of those is for whom the writer waits.
    var slowest: UInt64 {
        all.filter(\.isAwaited).map { $0.progress.load(ordering: .relaxed) }.min() ?? .max
    }

    func join() {
        for thread in threads { thread.join() }
        lock.with { while taskCount > 0 { changed.wait(lock) } }
    }
}
