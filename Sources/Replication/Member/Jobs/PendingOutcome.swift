internal import StorageEngine

/// Somebody who waits for the outcome of what was asked of the core.
///
/// Thread safety: every member needs the member's lock.
final class PendingOutcome: @unchecked Sendable {
    private var outcome: Outcome?
    private var condition: Condition?
    private var receiver: (@Sendable (Outcome) -> Void)?

    /// Ends the wait; returns what tells whoever does not block, if somebody does not.
    func settle(_ outcome: Outcome) -> Wake? {
        guard self.outcome == nil else { return nil }
        self.outcome = outcome
        condition?.signal()
        guard let receiver = receiver.take() else { return nil }
        return { receiver(outcome) }
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

    /// Has somebody told of the outcome, once, as soon as it is there.
    func tell(_ receiver: @escaping @Sendable (Outcome) -> Void) {
        if let outcome { return receiver(outcome) }
        self.receiver = receiver
    }
}
