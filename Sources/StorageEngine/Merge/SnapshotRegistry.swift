/// The sequences that readers hold: what they see is kept.
///
/// Thread safety: every method may be called from any thread.
final class SnapshotRegistry: @unchecked Sendable {
    /// A sequence that is held.
    struct Hold: Sendable {
        let sequence: UInt64
        /// Since when, on the monotonic clock in nanoseconds, and by how many now.
        let since: UInt64
        var count = 1
    }

    private let lock = Lock()
    /// Ascending by sequence, each once; protected by the lock.
    private var sorted: [Hold] = []

    /// Registers what a closure returns, which is called under the lock: whoever reads
    /// ``registered`` after a write was published sees the sequence, or the closure saw that write.
    func register(now: UInt64 = 0, _ current: () -> UInt64) -> UInt64 {
        lock.with {
            let sequence = current()
            let index = sorted.lastIndex { $0.sequence <= sequence } ?? -1
            if index >= 0, sorted[index].sequence == sequence {
                sorted[index].count += 1
            } else {
                sorted.insert(Hold(sequence: sequence, since: now), at: index + 1)
            }
            return sequence
        }
    }

    func release(_ sequence: UInt64) {
        lock.with {
            guard let index = sorted.firstIndex(where: { $0.sequence == sequence }) else {
                preconditionFailure("sequence \(sequence) was registered")
            }
            sorted[index].count -= 1
            if sorted[index].count == 0 { sorted.remove(at: index) }
        }
    }

    /// The registered sequences, ascending.
    var registered: [UInt64] { lock.with { sorted.map(\.sequence) } }

    /// Who holds what, ascending by sequence.
    var holds: [Hold] { lock.with { sorted } }

    /// How many snapshots and cursors are open.
    var count: Int { lock.with { sorted.reduce(0) { $0 + $1.count } } }
}
