internal import Glibc
internal import StorageEngine
internal import ToolSupport

/// Directories, as paths: what of them is there, made and removed.
enum Directory {
    /// The names in a directory; `nil` when there is no such directory.
    static func names(at path: String) throws -> [String]? {
        guard let handle = unsafe opendir(path) else {
            guard errno == ENOENT else {
                throw ToolError.system("reading the directory \(path)", errno: errno)
            }
            return nil
        }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { characters in
                    unsafe String(cString: characters)
                }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Removes what is in a directory.
    static func empty(_ path: String) throws {
        for name in try names(at: path) ?? [] { try remove("\(path)/\(name)") }
    }

    /// Removes a file, or a directory and what is in it; symbolic links are not followed.
    static func remove(_ path: String) throws {
        guard unsafe unlink(path) != 0, errno != ENOENT else { return }
        guard errno == EISDIR || errno == EPERM else {
            throw ToolError.system("removing \(path)", errno: errno)
        }
        try empty(path)
        guard unsafe rmdir(path) == 0 || errno == ENOENT else {
            throw ToolError.system("removing \(path)", errno: errno)
        }
    }
}

/// Temporary directories of this process, which go when it ends, also by a signal.
enum TemporaryDirectory {
    private static let made = Made()

    /// The paths of those made.
    ///
    /// Thread safety: every method may be called from any thread.
    private final class Made: @unchecked Sendable {
        private let lock = Lock()
        private var paths: [String] = []

        func add(_ path: String) { lock.with { paths.append(path) } }

        func takeAll() -> [String] {
            lock.with {
                let all = paths
                paths = []
                return all
            }
        }
    }

    static func make() throws -> String {
        let parent = parent
        var template = Array("\(parent)/enginebench-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else {
            throw ToolError.system("making a temporary directory in \(parent)", errno: errno)
        }
        let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        made.add(path)
        return path
    }

    /// The system's temporary directory, or another one that is on a disk when that one is not.
    private static var parent: String {
        let preferred = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        let candidates = [preferred, "/var/tmp"]
        return candidates.first { path in
            unsafe access(path, W_OK) == 0 && !FileSystemType(of: path).isMemory
        } ?? preferred
    }

    /// What cannot be removed is named on standard error.
    static func removeAll() {
        for path in made.takeAll() where !remove(path) {
            ToolOutput.complain("warning: \(path) could not be removed")
        }
    }

    /// Tries again a few times: an engine that still runs may be making files.
    private static func remove(_ path: String) -> Bool {
        for _ in 0..<10 {
            do {
                try Directory.remove(path)
                return true
            } catch {}
        }
        return false
    }
}
