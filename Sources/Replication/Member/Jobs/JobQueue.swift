internal import StorageEngine

/// Does jobs one after the other, on a thread of its own, or on one that helps.
///
/// Thread safety: every method may be called from any thread, `end` once, by none of its own jobs.
final class JobQueue: @unchecked Sendable {
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var jobs: [@Sendable () -> Void] = []
    private var isIdle = false
    private var isHelped = false
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameter name: The thread's, at most 15 bytes.
    init(name: String) {
        thread = WorkerThread(name: name) { [self] in work() }
    }

    /// Adds a job; once the queue has ended it is dropped.
    ///
    /// - Parameters:
    ///   - isHelping: Whether the caller will ``help()`` at once.
    ///   - job: What to do.
    func submit(isHelping: Bool = false, _ job: @escaping @Sendable () -> Void) {
        let wakes = lock.with {
            if !isEnded { jobs.append(job) }
            guard isIdle, !isHelping else { return false }
            isIdle = false
            return true
        }
        if wakes { condition.signal() }
    }

    /// Does the jobs that there are on the calling thread, unless others are being done: for who
    /// has nothing else to do, since it takes time to wake a thread.
    func help() {
        let batch = lock.with {
            guard isIdle, !isEnded, !jobs.isEmpty else { return [@Sendable () -> Void]() }
            isIdle = false
            isHelped = true
            defer { jobs = [] }
            return jobs
        }
        guard !batch.isEmpty else { return }
        perform(batch)
        lock.with {
            isHelped = false
            isIdle = jobs.isEmpty && !isEnded
            if !isIdle { condition.signal() }
        }
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
        while let batch = next() { perform(batch) }
    }

    private func perform(_ batch: [@Sendable () -> Void]) {
        for job in batch where !lock.with({ isEnded }) { job() }
    }

    /// Waits for jobs, and takes all that there are; `nil` once the queue has ended.
    private func next() -> [@Sendable () -> Void]? {
        lock.with {
            while isHelped || jobs.isEmpty && !isEnded {
                isIdle = !isHelped
                condition.wait(lock)
            }
            isIdle = false
            guard !isEnded else { return nil }
            defer { jobs = [] }
            return jobs
        }
    }
}
