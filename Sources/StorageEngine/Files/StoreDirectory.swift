internal import Glibc

/// An open directory of a store.
///
/// Dropping the last reference closes it.
///
/// Thread safety: every method may be called from any thread.
package final class StoreDirectory: Sendable {
    package enum Access: Sendable { case read, readWrite }

    /// What a directory holds, sorted.
    package struct Listing: Sendable {
        package let known: [FileName]
        /// Names that no version known here gave. They are left alone.
        package let unknown: [String]
    }

    package let path: String
    package let fileSystem: any FileSystem
    let handle: FileHandle

    init(_ handle: FileHandle, path: String, in fileSystem: any FileSystem) {
        self.handle = handle
        self.path = path
        self.fileSystem = fileSystem
    }

    deinit { do throws(IOFailure) { try fileSystem.close(handle) } catch {} }

    /// Opens a directory that exists; `io` with ENOENT when it does not.
    ///
    /// Whoever can write to the directory can replace its files, so one that its group or everybody
    /// may write to is refused with `invalidArgument`, unless that is allowed.
    package static func open(
        path: String,
        in fileSystem: any FileSystem,
        allowsSharedWriting: Bool = false
    ) throws(EngineError) -> StoreDirectory {
        let handle = try reporting(path) { () throws(IOFailure) in
            try fileSystem.openDirectory(path: path)
        }
        let directory = StoreDirectory(handle, path: path, in: fileSystem)
        let permissions = try directory.call { () throws(IOFailure) in
            try fileSystem.permissions(handle)
        }
        guard allowsSharedWriting || permissions & 0o022 == 0 else {
            let mode = String(permissions & 0o777, radix: 8)
            throw .invalidArgument(
                "the store's directory may be written by others: its mode is 0\(mode), not 0700"
            )
        }
        return directory
    }

    /// Makes a directory for a new store when there is none, durably, and opens it.
    ///
    /// The parent is synced in any case: an earlier attempt may have stopped before that.
    package static func make(
        path: String,
        in fileSystem: any FileSystem,
        allowsSharedWriting: Bool = false
    ) throws(EngineError) -> StoreDirectory {
        try reporting(path) { () throws(IOFailure) in
            do throws(IOFailure) {
                try fileSystem.makeDirectory(path: path)
            } catch {
                guard error.errno == EEXIST else { throw error }
            }
            // ".." is the real parent, even when the path is a symbolic link.
            let parent = try fileSystem.openDirectory(path: path + "/..")
            defer { do throws(IOFailure) { try fileSystem.close(parent) } catch {} }
            try fileSystem.syncDirectory(parent)
        }
        return try open(path: path, in: fileSystem, allowsSharedWriting: allowsSharedWriting)
    }

    package func list() throws(EngineError) -> Listing {
        let names = try call { () throws(IOFailure) in try fileSystem.list(handle) }
        return Listing(
            known: names.compactMap(FileName.init(parsing:)).sorted(),
            unknown: names.filter { FileName(parsing: $0) == nil }.sorted()
        )
    }

    /// Opens a file that exists; `io` with ENOENT when it does not.
    package func open(_ name: FileName, for access: Access) throws(EngineError) -> StoreFile {
        try open(name, access == .read ? .read : .readWrite)
    }

    /// Opens a file, or returns `nil` when there is none.
    package func openIfPresent(
        _ name: FileName,
        for access: Access
    ) throws(EngineError) -> StoreFile? {
        do {
            return try open(name, for: access)
        } catch {
            guard error.errno == ENOENT else { throw error }
            return nil
        }
    }

    package func freeSpace() throws(EngineError) -> UInt64 {
        try call { () throws(IOFailure) in try fileSystem.freeSpace(handle) }
    }

    func open(_ name: FileName, _ mode: OpenMode) throws(EngineError) -> StoreFile {
        let file = try call(name) { () throws(IOFailure) in
            try fileSystem.open(name.description, in: handle, mode)
        }
        return StoreFile(file, name: name.description, in: fileSystem)
    }

    /// Makes the directory's entries durable.
    func syncEntries() throws(EngineError) {
        try call { () throws(IOFailure) in try fileSystem.syncDirectory(handle) }
    }

    /// Makes a system call that concerns a file of the directory, or the directory itself.
    func call<R>(
        _ name: FileName? = nil,
        _ body: () throws(IOFailure) -> R
    ) throws(EngineError) -> R {
        try Self.reporting(name?.description ?? ".", body)
    }

    private static func reporting<R>(
        _ file: String,
        _ body: () throws(IOFailure) -> R
    ) throws(EngineError) -> R {
        do {
            return try uninterrupted(body)
        } catch {
            throw EngineError(error, file: file)
        }
    }
}
