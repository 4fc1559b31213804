internal import Glibc

/// Tells a terminal how far a tool is: count, rate, and the time that is left.
///
/// Thread safety: none.
package struct ToolProgress: ~Copyable {
    private let label: String
    private let isShown: Bool
    private let start = Self.now
    private var next: UInt64
    private var hasLine = false

    private static let interval: UInt64 = 500_000_000

    /// Shows something only when standard error is a terminal.
    package init(_ label: String) {
        self.label = label
        isShown = isatty(STDERR_FILENO) != 0
        next = start + Self.interval
    }

    /// Notes how many are done, and what part of the work that is, if known.
    package mutating func note(_ count: UInt64, part: @autoclosure () -> Double? = nil) {
        guard isShown, count & 0xff == 0 else { return }
        let now = Self.now
        guard now >= next else { return }
        next = now + Self.interval
        let seconds = Double(now - start) / 1e9
        var line = "\r\(label): \(count), \(Int(Double(count) / seconds)) a second"
        if let part = part(), part > 0 {
            line += ", \(Int(max(0, seconds / part - seconds).rounded())) s left"
        }
        show(line + "\u{1b}[K")
        hasLine = true
    }

    /// Takes the line away.
    package mutating func end() {
        if hasLine { show("\r\u{1b}[K") }
        hasLine = false
    }

    private func show(_ text: String) {
        do { try ToolOutput.write(text, to: STDERR_FILENO) } catch {}
    }

    private static var now: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
