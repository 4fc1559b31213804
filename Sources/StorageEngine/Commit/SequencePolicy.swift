/// How the sequences of a store's writes are chosen. They ascend in any case, and may have gaps.
public enum SequencePolicy: Sendable, Hashable, CaseIterable {
    /// Each is one above the last.
    case counter
    /// By the leader's wall clock when it receives the write: milliseconds since 1970 times 65,536,
    /// and at least one above the last. A clock that is set back is waited for by counting.
    case clock
    /// The caller's own, see ``Engine/write(_:sequence:ack:)-(borrowing WriteBatch,_,_)``; what is
    /// not above the last is refused, and so are writes without one.
    case client
}
