internal import StorageEngine
internal import Synchronization

/// Somebody who waits for the outcome of what was asked of the core.
///
/// The continuation is unchecked: `settle` forgets it as it resumes it, and does nothing a second
/// time; who waits is settled at the latest when the member ends.
///
/// Thread safety: every member needs the member's lock, but ``wait(_:)``.
@safe final class PendingOutcome: @unchecked Sendable {
    private var outcome: Outcome?
    private var condition: Condition?
    private var task: UnsafeContinuation<Void, Never>?
    /// Whether the outcome is there, and does not change any more.
    private let isSettled = Atomic(false)

    /// Ends the wait; returns what resumes the task that waits, if one does.
    func settle(_ outcome: Outcome) -> Wake? {
        guard self.outcome == nil else { return nil }
        self.outcome = outcome
        isSettled.store(true, ordering: .releasing)
        condition?.signal()
        guard let task = unsafe task.take() else { return nil }
        return { unsafe task.resume() }
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

    /// Waits for the outcome; suspends. The closure calls the one that it is given, which enters
    /// the task: with the lock, unless nobody else knows of the wait yet.
    func wait(_ entering: (_ enter: () -> Void) -> Void) async -> Outcome {
        unsafe await withUnsafeContinuation { task in
            entering { if outcome == nil { unsafe self.task = task } else { unsafe task.resume() } }
        }
        // A task that was resumed before it had suspended got here without a lock of its own.
        guard isSettled.load(ordering: .acquiring), let outcome else {
            preconditionFailure("a task was resumed without an outcome")
        }
        return outcome
    }
}
