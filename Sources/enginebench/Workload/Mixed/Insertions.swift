internal import StorageEngine
internal import Synchronization
internal import ToolSupport

/// The keys that the workers of a row add, numbered on from those that are there.
///
/// Thread safety: every method may be called from any thread.
final class Insertions: @unchecked Sendable {
    private let lock = Lock()
    private var claimed: UInt64
    /// Written before one with a lower number was.
    private var early: Set<UInt64> = []
    private let written: Atomic<UInt64>
    private let keySize: Int
    /// The first number that has too many digits; `nil` when none has.
    private let end: UInt64?

    init(from count: UInt64, keySize: Int) {
        claimed = count
        written = Atomic(count)
        self.keySize = keySize
        end = keySize < 20 ? (0..<keySize).reduce(1) { power, _ in power * 10 } : nil
    }

    /// All keys with numbers below are there.
    var keyCount: UInt64 { written.load(ordering: .acquiring) }

    /// The number of a key to write; no other worker gets it.
    func claim() throws(ToolError) -> UInt64 {
        let number = lock.with {
            defer { claimed += 1 }
            return claimed
        }
        if let end, number >= end {
            throw ToolError("inserting key \(number): it does not fit into --key-size \(keySize)")
        }
        return number
    }

    /// Says that a claimed key was written.
    func note(_ number: UInt64) {
        lock.with {
            early.insert(number)
            var count = written.load(ordering: .relaxed)
            while early.remove(count) != nil { count += 1 }
            written.store(count, ordering: .releasing)
        }
    }
}
