internal import StorageEngine

/// Does jobs one after the other, on a thread of its own, or on one that helps.
///
/// Thread safety: every method may be called from any thread, `end` once, by none of its own jobs.
final class JobQueue: @unchecked Sendable {
    /// Returns whether it did its work: when it must not wait it may refuse, and is done again on
    /// the queue's own thread.
    typealias Job = @Sendable (_ mayWait: Bool) -> Bool

    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var jobs: [Job] = []
    private var isIdle = false
    private var isHelped = false
    /// Whether somebody wanted jobs done while another helped.
    private var isWanted = false
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameter name: The thread's, at most 15 bytes.
    init(name: String) {
        thread = WorkerThread(name: name) { [self] in work() }
    }

    /// Has a job done on the queue's own thread; once the queue has ended it is dropped.
    func submit(_ job: @escaping @Sendable () -> Void) {
        add { mayWait in
            if mayWait { job() }
            return mayWait
        }
        wake()
    }

    /// Adds a job, which is done once the caller has called ``wake()`` or ``help()``, or somebody
    /// else has. Once the queue has ended it is dropped.
    func add(_ job: @escaping Job) {
        lock.with { if !isEnded { jobs.append(job) } }
    }

    /// Has the jobs done that there are.
    func wake() {
        let wakes = lock.with {
            guard isIdle else {
                isWanted = isHelped
                return false
            }
            guard !jobs.isEmpty else { return false }
            isIdle = false
            return true
        }
        if wakes { condition.signal() }
    }

    /// Does the jobs that there are on the calling thread, up to the first that refuses, unless
    /// others are being done: it takes time to wake a thread.
    func help() {
        let batch = lock.with {
            guard isIdle else {
                isWanted = isHelped
                return [Job]()
            }
            guard !isEnded, !jobs.isEmpty else { return [] }
            isIdle = false
            isHelped = true
            defer { jobs = [] }
            return jobs
        }
        guard !batch.isEmpty else { return }
        let rest = perform(batch, mayWait: false)
        lock.with {
            isHelped = false
            if !isEnded { jobs.insert(contentsOf: rest, at: 0) }
            // What was added meanwhile is done by whoever added it, or has it done.
            isIdle = !isEnded && rest.isEmpty && (jobs.isEmpty || !isWanted)
            isWanted = false
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
        while let batch = next() {
            let rest = perform(batch, mayWait: true)
            precondition(rest.isEmpty, "whoever may wait refuses nothing")
        }
    }

    /// Does jobs up to the first that refuses; returns that one and those behind it. What has not
    /// begun when the queue ends is dropped.
    private func perform(_ batch: [Job], mayWait: Bool) -> ArraySlice<Job> {
        for (index, job) in batch.enumerated() where !lock.with({ isEnded }) {
            guard job(mayWait) else { return batch[index...] }
        }
        return []
    }

    /// Waits for jobs, and takes all that there are; `nil` once the queue has ended.
    private func next() -> [Job]? {
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
