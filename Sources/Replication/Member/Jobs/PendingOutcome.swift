internal import StorageEngine

/// Somebody who waits for the outcome of what was asked of the core.
///
/// Thread safety: every member needs the member's lock.
final class PendingOutcome: @unchecked Sendable {
    private var outcome: Outcome?
    private var condition: Condition?
    private var task: CheckedContinuation<Outcome, Never>?

    /// Ends the wait; returns what resumes the task that waits, if one does.
    func settle(_ outcome: Outcome) -> Wake? {
        guard self.outcome == nil else { return nil }
        self.outcome = outcome
        condition?.signal()
        guard let task = task.take() else { return nil }
        return { task.resume(returning: outcome) }
    }

    /// Waits for the outcome; lets the lock go meanwhile.
    func block(_ lock: Lock) -> Outcome {
        let condition = Condition()
        self.condition = condition
        while true {
            if let outcome { return outcome }
            condition.wait(lock)
        }
    }

    /// Resumes a task once the outcome is there.
    func resume(_ task: CheckedContinuation<Outcome, Never>) {
        if let outcome { return task.resume(returning: outcome) }
        self.task = task
    }
}
