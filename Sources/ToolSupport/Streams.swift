internal import Glibc

/// Standard output in large pieces.
///
/// Thread safety: none.
package final class OutputStream {
    private var buffer: [UInt8] = []

    package init() { buffer.reserveCapacity(Self.flushSize * 2) }

    private static let flushSize = 64 << 10

    package func write(_ bytes: some Sequence<UInt8>) throws {
        buffer.append(contentsOf: bytes)
        if buffer.count >= Self.flushSize { try flush() }
    }

    /// Writes a text and a line feed.
    package func print(_ text: String) throws {
        buffer.append(contentsOf: text.utf8)
        try write(CollectionOfOne(UInt8(ascii: "\n")))
    }

    package func flush() throws {
        let bytes = buffer[...]
        buffer = []
        try ToolOutput.write(bytes, to: STDOUT_FILENO)
    }
}

/// The lines of a file or of standard input, one by one.
///
/// Thread safety: none.
package final class LineReader {
    private let descriptor: Int32
    private let name: String
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false
    /// The number of the line read last, from 1.
    package private(set) var lineNumber = 0

    private static let stepSize = 256 << 10
    /// Longer than any record: key and value at their limits, each byte escaped.
    private static let lineSizeMax = 160 << 20

    /// Opens a file, or standard input for `-`.
    package init(path: String) throws {
        name = path
        guard path != "-" else {
            descriptor = STDIN_FILENO
            return
        }
        descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ToolError.system("opening \(path)", errno: errno) }
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    /// The next line without its line feed; the last one may have none.
    package func next() throws -> [UInt8]? {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                return take(to: end, skipping: 1)
            }
            if isAtEnd { return start < buffer.count ? take(to: buffer.count, skipping: 0) : nil }
            guard buffer.count - start <= Self.lineSizeMax else {
                throw ToolError("reading \(name), line \(lineNumber + 1): longer than any record")
            }
            searched = buffer.count - start
            try fill()
        }
    }

    private func take(to end: Int, skipping: Int) -> [UInt8] {
        defer { start = end + skipping }
        lineNumber += 1
        return Array(buffer[start..<end])
    }

    private func fill() throws {
        buffer.removeSubrange(..<start)
        start = 0
        let old = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.stepSize))
        var count = -1
        repeat {
            count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe read(descriptor, bytes.baseAddress?.advanced(by: old), Self.stepSize)
            }
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw ToolError.system("reading \(name)", errno: errno) }
        buffer.removeSubrange((old + count)...)
        isAtEnd = count == 0
    }
}

/// How far a long command is, on standard error when that is a terminal.
///
/// Thread safety: none.
package final class ProgressLine {
    private let isShown = isatty(STDERR_FILENO) == 1
    private let unit: String
    private let total: UInt64?
    private let start = now()
    private var lastShown = now()

    package init(unit: String, total: UInt64? = nil) {
        self.unit = unit
        self.total = total
    }

    package func update(_ count: UInt64) {
        guard isShown, count % 256 == 0, Self.now() - lastShown > 200_000_000 else { return }
        lastShown = Self.now()
        let seconds = Double(lastShown - start) / 1e9
        let rate = Double(count) / seconds
        var text = "\r\(count) \(unit), \(Int(rate))/s"
        if let total, total > count { text += ", \(Int(Double(total - count) / rate)) s left" }
        do { try ToolOutput.write(text + "   ", to: STDERR_FILENO) } catch {}
    }

    package func end() {
        guard isShown else { return }
        do { try ToolOutput.write("\r\u{1b}[K", to: STDERR_FILENO) } catch {}
    }

    private static func now() -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
