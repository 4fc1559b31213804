internal import StorageEngine

/// Holds workers back until all of them are there, so that they start at once.
///
/// Thread safety: every method may be called from any thread; each worker arrives once.
final class StartGate: @unchecked Sendable {
    private let lock = Lock()
    private let opened = Condition()
    private var missing: Int
    private var start: UInt64?
    private var suspended: [CheckedContinuation<UInt64, Never>] = []

    init(count: Int) { missing = count }

    /// Waits for the others, blocking the thread; returns when the gate opened.
    func arrive() -> UInt64 {
        lock.with {
            noteArrival()
            while true {
                if let start { return start }
                opened.wait(lock)
            }
        }
    }

    /// Waits for the others, suspended; returns when the gate opened.
    func arrive() async -> UInt64 {
        await withCheckedContinuation { continuation in
            let released: [CheckedContinuation<UInt64, Never>] = lock.with {
                suspended.append(continuation)
                noteArrival()
                guard start != nil else { return [] }
                let released = suspended
                suspended = []
                return released
            }
            guard let start = lock.with({ start }) else { return }
            for continuation in released { continuation.resume(returning: start) }
        }
    }

    /// The last to arrive opens the gate.
    private func noteArrival() {
        missing -= 1
        guard missing == 0 else { return }
        start = Clock.now
        opened.broadcast()
    }
}
