internal import Glibc

/// A directory of the operating system, made under the system's temporary directory and removed
/// with all it holds when the last reference is dropped.
///
/// Thread safety: immutable.
package final class TemporaryDirectory: Sendable {
    package let path: String

    package init() {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(parent)/storage-engine-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { fatalError("mkdtemp failed, errno \(errno)") }
        path = template.withUnsafeBufferPointer { buffer in
            String(decoding: buffer.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
    }

    deinit { Self.remove(path, depth: 0) }

    /// Removes a file, a link, or a directory; never follows a link.
    private static func remove(_ path: String, depth: Int) {
        guard unlink(path) != 0, depth < 8, let stream = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        closedir(stream)
        for name in names { remove("\(path)/\(name)", depth: depth + 1) }
        rmdir(path)
    }
}
