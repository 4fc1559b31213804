internal import Glibc

/// The right to use a directory: one writer, or any number of readers.
///
/// The lock is a flock on the file `LOCK`, which is never removed: whoever waited for a removed
/// file would get a lock that excludes nobody. It excludes a second open by this process too, under
/// whatever path, because each open has its own open file description.
///
/// Thread safety: `release` is called once, by any thread.
package final class DirectoryLock: Sendable {
    private let file: StoreFile?

    private init(_ file: StoreFile?) { self.file = file }

    /// Takes the lock, or throws `locked`.
    ///
    /// A writer makes the file when it is missing. A reader makes nothing: where no writer ever
    /// was, as on a read-only file system, it goes on without a lock.
    package static func acquire(
        in directory: StoreDirectory,
        exclusive: Bool
    ) throws(EngineError) -> DirectoryLock {
        let file = exclusive ? try writable(in: directory) : try readable(in: directory)
        guard let file else { return DirectoryLock(nil) }
        do {
            try file.lock(exclusive: exclusive)
        } catch {
            guard error.errno == EWOULDBLOCK else { throw EngineError(error, file: file.name) }
            throw EngineError(
                .locked,
                "another engine has the store open",
                file: file.name,
                errno: error.errno
            )
        }
        return DirectoryLock(file)
    }

    /// Whether others are kept out.
    package var isHeld: Bool { file != nil }

    /// Lets others in. Dropping the last reference does so too.
    package func release() throws(EngineError) {
        file?.unlock()
        try file?.close()
    }

    private static func readable(in directory: StoreDirectory) throws(EngineError) -> StoreFile? {
        try directory.openIfPresent(.lock, for: .read)
    }

    private static func writable(in directory: StoreDirectory) throws(EngineError) -> StoreFile {
        if let file = try directory.openIfPresent(.lock, for: .readWrite) { return file }
        do {
            return try directory.open(.lock, .create)
        } catch {
            // Somebody else made it in the meantime, and nobody removes it.
            guard error.errno == EEXIST else { throw error }
            return try directory.open(.lock, for: .readWrite)
        }
    }
}
