internal import Glibc

/// A directory that gets its name once it is whole.
///
/// It is filled as `.NAME.unfinished` beside the place where it will be. A crash leaves it there at
/// most, where the next attempt takes it over. Whoever fills it holds a lock in it.
///
/// Thread safety: none; one owner.
package final class StagedDirectory {
    /// Where the files go.
    package let directory: StoreDirectory
    private let parent: StoreDirectory
    private let name: String
    private let lock: DirectoryLock

    private var temporaryName: String { Self.temporaryName(name) }

    private static func temporaryName(_ name: String) -> String { ".\(name).unfinished" }

    /// Makes the directory under its temporary name, empty.
    ///
    /// - Parameters:
    ///   - path: What it will be called. The parent must exist, and the path be absent or an empty
    ///     directory.
    ///   - fileSystem: Where all this is.
    /// - Throws: ``EngineError`` with code `invalidArgument` when something is in the way, `locked`
    ///   when somebody else fills it, `io` or `noSpace`.
    package init(path: String, in fileSystem: any FileSystem) throws(EngineError) {
        let (parentPath, name) = try Self.split(path)
        self.name = name
        parent = try StoreDirectory.open(
            path: parentPath,
            in: fileSystem,
            allowsSharedWriting: true
        )
        try Self.checkVacant(name, in: parent)
        directory = try Self.makeTemporary(Self.temporaryName(name), in: parent)
        lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        let listing = try directory.list()
        guard listing.unknown.isEmpty else {
            throw .invalidArgument(
                "making \(path): .\(name).unfinished, which a crash leaves behind, holds other "
                    + "files, such as \(listing.unknown[0])"
            )
        }
        for file in listing.known where file != .lock { try directory.remove(file) }
    }

    /// Gives the directory its name, durably. Everything in it was synced before, but for names.
    ///
    /// - Throws: ``EngineError``; the directory may have its name already then, or it is removed as
    ///   far as possible.
    package func commit() throws(EngineError) {
        do throws(EngineError) {
            try directory.syncEntries()
        } catch {
            discard()
            throw error
        }
        // A rename that reports an error may have happened; whatever is there is left alone.
        let (parent, name, temporaryName) = (parent, name, temporaryName)
        try Self.call(name) { () throws(IOFailure) in
            try parent.fileSystem.rename(temporaryName, to: name, in: parent.handle)
        }
        try parent.syncEntries()
        try lock.release()
    }

    /// Removes what was made, as far as possible; not once it may have got its name.
    package func discard() {
        do throws(EngineError) {
            for file in try directory.list().known { try directory.remove(file) }
            let (parent, temporaryName) = (parent, temporaryName)
            try Self.call(temporaryName) { () throws(IOFailure) in
                try parent.fileSystem.removeDirectory(temporaryName, in: parent.handle)
            }
        } catch {}
    }

    // MARK: - Names

    private static func split(
        _ path: String
    ) throws(EngineError) -> (parent: String, name: String) {
        let slash = UInt8(ascii: "/")
        var bytes = path.utf8[...]
        while bytes.last == slash { bytes.removeLast() }
        let start = bytes.lastIndex(of: slash).map { bytes.index(after: $0) } ?? bytes.startIndex
        let name = String(Substring(bytes[start...]))
        guard !["", ".", ".."].contains(name), !name.utf8.contains(0) else {
            throw .invalidArgument("the path \(path) names no new directory")
        }
        let parent = String(Substring(bytes[..<start]))
        return (parent.isEmpty ? "." : parent, name)
    }

    /// Refuses a name that anything but an empty directory has.
    private static func checkVacant(
        _ name: String,
        in parent: StoreDirectory
    ) throws(EngineError) {
        let found: StoreDirectory
        do throws(EngineError) {
            found = try open(name, in: parent)
        } catch {
            if error.errno == ENOENT { return }
            guard error.errno == ENOTDIR || error.errno == ELOOP else { throw error }
            throw .invalidArgument("\(parent.path)/\(name) is there, and is no directory")
        }
        let listing = try found.list()
        guard listing.known.isEmpty, listing.unknown.isEmpty else {
            throw .invalidArgument("the directory \(parent.path)/\(name) is not empty")
        }
    }

    private static func makeTemporary(
        _ name: String,
        in parent: StoreDirectory
    ) throws(EngineError) -> StoreDirectory {
        try call(name) { () throws(IOFailure) in
            do throws(IOFailure) {
                try parent.fileSystem.makeDirectory(name, in: parent.handle)
            } catch {
                guard error.errno == EEXIST else { throw error }
            }
        }
        return try open(name, in: parent)
    }

    private static func open(
        _ name: String,
        in parent: StoreDirectory
    ) throws(EngineError) -> StoreDirectory {
        let handle = try call(name) { () throws(IOFailure) in
            try parent.fileSystem.open(name, in: parent.handle, .directory)
        }
        return StoreDirectory(handle, path: "\(parent.path)/\(name)", in: parent.fileSystem)
    }

    private static func call<R>(
        _ name: String,
        _ body: () throws(IOFailure) -> R
    ) throws(EngineError) -> R {
        do {
            return try uninterrupted(body)
        } catch {
            throw EngineError(error, file: name)
        }
    }
}
