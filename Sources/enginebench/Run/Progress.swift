internal import Glibc
internal import StorageEngine
internal import Synchronization
internal import ToolSupport

/// Tells a terminal how far a round is: operations, rate, and the time that is left.
///
/// Thread safety: every method may be called from any thread; `end` is called once.
final class Progress: @unchecked Sendable {
    private let done = Atomic<Int>(0)
    private let start = Clock.now
    private let label: String
    private let limit: Limit
    private let workerCount: Int
    private let lock = Lock()
    private let changed = Condition()
    private var isEnded = false
    private var thread: WorkerThread?

    /// Workers note their steps this many at a time.
    static let stride = 256
    private static let interval: UInt64 = 500_000_000

    /// `nil` when standard error is no terminal.
    init?(_ label: String, _ limit: Limit, workerCount: Int) {
        guard isatty(STDERR_FILENO) != 0 else { return nil }
        self.label = label
        self.limit = limit
        self.workerCount = workerCount
        thread = WorkerThread(name: "bench-progress") { [self] in run() }
    }

    func note(_ operations: Int) { done.add(operations, ordering: .relaxed) }

    /// Takes the line away.
    func end() {
        lock.with {
            isEnded = true
            changed.broadcast()
        }
        thread?.join()
        thread = nil
        show("\r\u{1b}[K")
    }

    private func run() {
        var next = start
        while true {
            next += Self.interval
            let isEnded = lock.with {
                while !self.isEnded, Clock.now < next { changed.wait(lock, until: next) }
                return self.isEnded
            }
            guard !isEnded else { return }
            show("\r\(line)\u{1b}[K")
        }
    }

    private var line: String {
        let count = done.load(ordering: .relaxed)
        let elapsed = Double(Clock.now - start) / 1e9
        let rate = Double(count) / elapsed
        var left = max(0, Double(limit.duration) / 1e9 - elapsed)
        if limit.operations < .max {
            left = rate > 0 ? Double(limit.operations * workerCount - count) / rate : 0
        }
        guard limit.operations < .max || limit.duration < Limit().duration else {
            return "\(label): \(count) operations, \(rate.text(decimals: 0)) ops/s"
        }
        return "\(label): \(count) operations, \(rate.text(decimals: 0)) ops/s, "
            + "\(max(0, left).text(decimals: 0)) s left"
    }

    private func show(_ text: String) {
        do { try ToolOutput.write(text, to: STDERR_FILENO) } catch {}
    }
}
