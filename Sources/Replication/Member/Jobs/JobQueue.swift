internal import StorageEngine

/// Does jobs one after the other, on a thread of its own.
///
/// Thread safety: every method may be called from any thread, `end` once, by none of its own jobs.
final class JobQueue: @unchecked Sendable {
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var jobs: [@Sendable () -> Void] = []
    private var isIdle = false
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameter name: The thread's, at most 15 bytes.
    init(name: String) {
        thread = WorkerThread(name: name) { [self] in work() }
    }

    /// Adds a job; once the queue has ended it is dropped.
    func submit(_ job: @escaping @Sendable () -> Void) {
        let wakes = lock.with {
            if !isEnded { jobs.append(job) }
            defer { isIdle = false }
            return isIdle
        }
        if wakes { condition.signal() }
    }

    /// Drops what has not begun, and waits for what has.
    func end() {
        let thread = lock.with {
            isEnded = true
            jobs = []
            condition.signal()
            return self.thread.take()
        }
        thread?.join()
    }

    private func work() {
        while let batch = next() {
            for job in batch where !lock.with({ isEnded }) { job() }
        }
    }

    /// Waits for jobs, and takes all that there are; `nil` once the queue has ended.
    private func next() -> [@Sendable () -> Void]? {
        lock.with {
            while jobs.isEmpty, !isEnded {
                isIdle = true
                condition.wait(lock)
            }
            guard !isEnded else { return nil }
            defer { jobs = [] }
            return jobs
        }
    }
}
