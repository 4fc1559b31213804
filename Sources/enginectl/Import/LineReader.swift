internal import Glibc
internal import ToolSupport

/// The lines of a file, one by one; of a large file only a part is in memory.
///
/// Thread safety: none.
struct LineReader {
    private let file: InputFile
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false
    /// The number of the line read last, from 1.
    private(set) var number = 0
    /// The bytes of the lines read so far.
    private(set) var offset: UInt64 = 0

    /// Longer than any record: the value at its limit, each byte six characters of JSON.
    private static let lineSizeMax = 400 << 20

    init(_ file: InputFile) { self.file = file }

    /// The file's name, for messages.
    var name: String { file.name }

    /// What part of the file has been read; `nil` for a pipe.
    var part: Double? {
        file.size.flatMap { size in size > 0 ? Double(offset) / Double(size) : nil }
    }

    /// The next line, without its line feed; the last one may have none.
    mutating func next() throws -> ArraySlice<UInt8>? {
        var searched = start
        while true {
            if let end = lineFeed(from: searched) { return take(to: end, next: end + 1) }
            searched = buffer.count - start
            guard !isAtEnd else {
                return start < buffer.count ? take(to: buffer.count, next: buffer.count) : nil
            }
            guard searched <= Self.lineSizeMax else {
                throw ToolError("reading \(file.name), line \(number + 1): longer than any record")
            }
            buffer.removeSubrange(..<start)
            start = 0
            if try !file.read(into: &buffer) {
                // What an interruption cuts off is no record.
                guard !Interruption.isRequested else { return nil }
                isAtEnd = true
            }
        }
    }

    private func lineFeed(from start: Int) -> Int? {
        unsafe buffer.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress, start < bytes.count,
                let found = unsafe memchr(base + start, 0x0a, bytes.count - start)
            else { return nil }
            return unsafe base.distance(to: UnsafeRawPointer(found))
        }
    }

    private mutating func take(to end: Int, next: Int) -> ArraySlice<UInt8> {
        let line = buffer[start..<end]
        offset += UInt64(next - start)
        start = next
        number += 1
        return line
    }
}
