internal import Glibc
internal import ToolSupport

/// Files that hold a line.
enum SmallFile {
    private static let sizeMax = 65_536

    static func text(of path: String) throws -> String {
        guard let file = unsafe fopen(path, "r") else {
            throw ToolError.system("opening \(path)", errno: errno)
        }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: sizeMax)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        guard unsafe ferror(file) == 0 else {
            throw ToolError.system("reading \(path)", errno: errno)
        }
        guard let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
            throw ToolError("reading \(path): it is not UTF-8")
        }
        return text
    }
}
