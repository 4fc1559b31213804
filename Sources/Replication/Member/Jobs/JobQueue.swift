internal import StorageEngine

/// Does jobs one after the other, on a thread of its own.
///
/// Thread safety: every method may be called from any thread, `end` once, by none of its own jobs.
final class JobQueue: @unchecked Sendable {
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var jobs: [@Sendable () -> Void] = []
    private var head = 0
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameter name: The thread's, at most 15 bytes.
    init(name: String) {
        thread = WorkerThread(name: name) { [self] in work() }
    }

    /// Adds a job; once the queue has ended it is dropped.
    func submit(_ job: @escaping @Sendable () -> Void) {
        lock.with {
            guard !isEnded else { return }
            jobs.append(job)
            condition.signal()
        }
    }

    /// Drops what has not begun, and waits for what has.
    func end() {
        let thread = lock.with {
            isEnded = true
            jobs = []
            head = 0
            condition.signal()
            return self.thread.take()
        }
        thread?.join()
    }

    private func work() {
        while let job = next() { job() }
    }

    private func next() -> (@Sendable () -> Void)? {
        lock.with {
            while head == jobs.count, !isEnded { condition.wait(lock) }
            guard !isEnded else { return nil }
            let job = jobs[head]
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: true)
                head = 0
            }
            return job
        }
    }
}
