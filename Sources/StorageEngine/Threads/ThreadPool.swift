/// A few threads of the engine's own for calls that may block.
///
/// Thread safety: every method may be called from any thread. Dropping the pool ends its threads
/// once they have done what was asked.
final class ThreadPool: Sendable {
    private let shared: Shared

    init(name: String, countMax: Int) { shared = Shared(name: name, countMax: countMax) }

    deinit { shared.end() }

    /// Runs a closure on one of the threads, and suspends until it is done.
    func run<R: Sendable, E: Error>(
        _ body: @escaping @Sendable () throws(E) -> R
    ) async throws(E) -> R {
        let outcome = Outcome<R, E>()
        await withUnsafeContinuation { continuation in
            shared.submit {
                outcome.settle(Result(catching: body), continuation)
            }
        }
        return try outcome.result()
    }

    /// What came of a call, on its way from a thread of the pool to the task.
    ///
    /// A task that is resumed before it has suspended goes on at once, while the thread may still
    /// be inside `resume`. Both pass through the lock, so that the thread is out before the task
    /// uses the continuation's memory again. The runtime orders the two itself, but not where the
    /// thread sanitizer can see it.
    private final class Outcome<R: Sendable, E: Error>: @unchecked Sendable {
        private let lock = Lock()
        // Protected by the lock.
        private var settled: Result<R, E>?

        func settle(_ result: Result<R, E>, _ continuation: UnsafeContinuation<Void, Never>) {
            lock.with {
                settled = result
                continuation.resume()
            }
        }

        func result() throws(E) -> R {
            guard let result = lock.with({ settled }) else {
                preconditionFailure("the task was resumed with a result")
            }
            return try result.get()
        }
    }

    /// What the threads hold on to; it outlives the pool until they have ended.
    private final class Shared: @unchecked Sendable {
        private let name: String
        private let countMax: Int
        private let lock = Lock()
        private let condition = Condition()
        // Protected by the lock.
        private var jobs: [@Sendable () -> Void] = []
        private var count = 0
        private var idleCount = 0
        private var isEnded = false

        init(name: String, countMax: Int) {
            self.name = name
            self.countMax = countMax
        }

        func submit(_ job: @escaping @Sendable () -> Void) {
            lock.acquire()
            defer { lock.release() }
            jobs.append(job)
            if idleCount >= jobs.count || count == countMax {
                condition.signal()
            } else {
                count += 1
                WorkerThread(name: name) { [self] in work() }.detach()
            }
        }

        func end() {
            lock.with { isEnded = true }
            condition.broadcast()
        }

        private func work() {
            lock.acquire()
            while true {
                if !jobs.isEmpty {
                    let job = jobs.removeFirst()
                    lock.release()
                    job()
                    lock.acquire()
                } else if isEnded {
                    break
                } else {
                    idleCount += 1
                    condition.wait(lock)
                    idleCount -= 1
                }
            }
            lock.release()
        }
    }
}
