/// The writes behind a position, and those that come: an endless sequence of batches, in order.
///
/// Each iterator is a consumer of its own. It gets every write once, however it lags; it never
/// makes a writer wait. It ends by throwing: ``EngineError`` with code `trimmed` when it lags
/// behind what the log keeps (a slot prevents that), `closed` when the engine is closed,
/// `indeterminate` when the log has failed, `corruption` or `io`; or `CancellationError`.
public struct Changes: AsyncSequence, Sendable {
    private let opening: Opening

    init(_ opening: Opening) { self.opening = opening }

    /// Makes a consumer.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(opening) }

    /// How consumers are made.
    ///
    /// Thread safety: every method may be called from any thread.
    final class Opening: @unchecked Sendable {
        let filter: KeyRange
        let threads: ThreadPool
        private let source: any FeedSource
        private let start: Position
        private let horizon: AckPoint
        private let lock = Lock()
        /// The consumer whose start was checked, for the first iterator; protected by the lock.
        private var first: FeedCursor?

        init(
            _ source: any FeedSource,
            after start: Position,
            horizon: AckPoint,
            filter: KeyRange,
            threads: ThreadPool
        ) throws(EngineError) {
            self.source = source
            self.start = start
            self.horizon = horizon
            self.filter = filter
            self.threads = threads
            first = try FeedCursor.open(source, after: start, horizon: horizon)
        }

        func cursor() throws(EngineError) -> FeedCursor {
            if let first = lock.with({ first.take() }) { return first }
            return try FeedCursor.open(source, after: start, horizon: horizon)
        }
    }

    /// One consumer.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let opening: Opening
        private var consumer: Consumer?

        init(_ opening: Opening) { self.opening = opening }

        /// The next batch; suspends until there is one.
        ///
        /// - Returns: Never `nil`.
        /// - Throws: See ``Changes``.
        public mutating func next() async throws -> ChangeBatch? {
            let consumer: Consumer
            if let known = self.consumer {
                consumer = known
            } else {
                let opening = opening
                consumer = try await opening.threads.run { () throws(EngineError) in
                    Consumer(try opening.cursor())
                }
                self.consumer = consumer
            }
            let batch = try await consumer.next(opening.threads)
            return ChangeBatch(batch, filter: opening.filter)
        }
    }

    /// A cursor on its way between a task and the threads that read files.
    ///
    /// Thread safety: one caller at a time, which awaits each call.
    private final class Consumer: @unchecked Sendable {
        private let cursor: FeedCursor

        init(_ cursor: FeedCursor) { self.cursor = cursor }

        func next(_ threads: ThreadPool) async throws -> RecordBatch {
            while true {
                var step = try cursor.next(readsFiles: false)
                if case .needsFile = step {
                    step = try await threads.run { [self] () throws(EngineError) in
                        try cursor.next(readsFiles: true)
                    }
                }
                switch step {
                case .batch(let batch): return batch
                case .wait(let point): try await cursor.wait(for: point)
                case .needsFile: preconditionFailure("files were to be read")
                }
            }
        }
    }
}
