internal import Glibc

/// Standard output, buffered. What is not flushed is lost.
///
/// Thread safety: none.
package struct OutputWriter: ~Copyable {
    /// What has not been written yet; append to it, then call ``endLine()``.
    package var buffer: [UInt8] = []
    private let descriptor: Int32

    private static let sizeMax = 1 << 16

    package init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
        buffer.reserveCapacity(2 * Self.sizeMax)
    }

    /// Writes a line's text and its end.
    ///
    /// - Throws: As ``flush()``.
    package mutating func line(_ text: String) throws {
        buffer.append(contentsOf: text.utf8)
        try endLine()
    }

    /// Ends a line, and writes the buffer when it is full.
    ///
    /// - Throws: As ``flush()``.
    package mutating func endLine() throws {
        buffer.append(UInt8(ascii: "\n"))
        if buffer.count >= Self.sizeMax { try flush() }
    }

    /// Writes what the buffer holds.
    ///
    /// - Throws: ``OutputClosed`` when nobody reads, ``ToolError`` when it cannot be written.
    package mutating func flush() throws {
        try ToolOutput.write(buffer, to: descriptor)
        buffer.removeAll(keepingCapacity: true)
    }
}
