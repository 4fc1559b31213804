/// The sequences that readers hold: what they see is kept.
///
/// Thread safety: every method may be called from any thread.
final class SnapshotRegistry: @unchecked Sendable {
    private let lock = Lock()
    /// Distinct, ascending; protected by the lock, as the counts.
    private var sequences: [UInt64] = []
    private var counts: [Int] = []

    /// Registers what a closure returns, which is called under the lock: whoever reads
    /// ``registered`` after a write was published sees the sequence, or the closure saw that write.
    func register(_ current: () -> UInt64) -> UInt64 {
        lock.with {
            let sequence = current()
            let index = sequences.lastIndex { $0 <= sequence }
            if let index, sequences[index] == sequence {
                counts[index] += 1
            } else {
                sequences.insert(sequence, at: (index ?? -1) + 1)
                counts.insert(1, at: (index ?? -1) + 1)
            }
            return sequence
        }
    }

    func release(_ sequence: UInt64) {
        lock.with {
            guard let index = sequences.firstIndex(of: sequence) else {
                preconditionFailure("sequence \(sequence) was registered")
            }
            counts[index] -= 1
            if counts[index] == 0 {
                sequences.remove(at: index)
                counts.remove(at: index)
            }
        }
    }

    /// The registered sequences, ascending.
    var registered: [UInt64] { lock.with { sequences } }

    /// How many snapshots and cursors are open.
    var count: Int { lock.with { counts.reduce(0, +) } }
}
