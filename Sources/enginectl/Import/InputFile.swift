internal import Glibc
internal import ToolSupport

/// A file, or standard input, read from front to back.
///
/// Thread safety: none.
final class InputFile {
    /// As in messages.
    let name: String
    /// The file's size, when it has one.
    let size: UInt64?
    private let descriptor: Int32

    private static let stepSize = 256 << 10

    /// Opens a file; `-` is standard input.
    init(path: String) throws {
        name = path == "-" ? "standard input" : path
        descriptor = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ToolError.system("opening \(path)", errno: errno) }
        var status = stat()
        let isFile = unsafe fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        size = isFile ? UInt64(status.st_size) : nil
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    /// Appends the next bytes.
    ///
    /// - Returns: `false` at the end, and when the user wants the tool to end.
    func read(into bytes: inout [UInt8]) throws -> Bool {
        let old = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: Self.stepSize))
        var count = 0
        defer { bytes.removeLast(Self.stepSize - count) }
        while true {
            guard Interruption.wait(toRead: descriptor) else { return false }
            let result = unsafe bytes.withUnsafeMutableBytes { bytes in
                unsafe Glibc.read(
                    descriptor,
                    bytes.baseAddress.map { unsafe $0 + old },
                    Self.stepSize
                )
            }
            guard result < 0 else {
                count = result
                return count > 0
            }
            guard errno == EINTR else { throw ToolError.system("reading \(name)", errno: errno) }
        }
    }
}
