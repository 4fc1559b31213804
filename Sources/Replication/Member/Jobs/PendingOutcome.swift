internal import StorageEngine

/// Somebody who waits for the outcome of what was asked of the core.
///
/// Thread safety: every member needs the member's lock.
final class PendingOutcome: @unchecked Sendable {
    private var outcome: Outcome?
    private var condition: Condition?
    private var task: SuspendedTask?

    /// Ends the wait; returns what resumes the task that waits, if one does.
    func settle(_ outcome: Outcome) -> Wake? {
        guard self.outcome == nil else { return nil }
        self.outcome = outcome
        condition?.signal()
        guard let task = task.take() else { return nil }
        return { task.resume(outcome) }
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
    func resume(_ task: SuspendedTask) {
        if let outcome { return task.resume(outcome) }
        self.task = task
    }
}

/// A task that waits for an outcome.
///
/// It must be resumed exactly once. It is handed to one ``PendingOutcome``, which forgets it as it
/// resumes it; and whoever forgets one of these has settled it.
@safe struct SuspendedTask: Sendable {
    private let continuation: UnsafeContinuation<Outcome, Never>

    /// Suspends the task that calls, until what the closure got was resumed.
    static func suspend(_ body: (SuspendedTask) -> Void) async -> Outcome {
        await unsafe withUnsafeContinuation { continuation in
            body(unsafe SuspendedTask(continuation: continuation))
        }
    }

    func resume(_ outcome: Outcome) { unsafe continuation.resume(returning: outcome) }
}
