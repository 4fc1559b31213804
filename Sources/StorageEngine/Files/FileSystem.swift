/// A system call on a file failed, or did less than asked.
package struct IOFailure: Error, Hashable {
    /// The call, as in `pwrite`.
    package let operation: String
    package let errno: Int32

    package init(_ operation: String, _ errno: Int32) {
        self.operation = operation
        self.errno = errno
    }
}

/// An open file or directory. The file system that opened it knows what the number means.
package struct FileHandle: Hashable, Sendable {
    package let number: Int32
    package init(number: Int32) { self.number = number }
}

package enum OpenMode: Sendable {
    /// An existing file, for reading only.
    case read
    /// An existing file, for reading and writing.
    case readWrite
    /// A new file, for reading and writing; EEXIST when the name is taken.
    case create
    /// An existing directory.
    case directory
}

/// The only way to the disk: one method a system call.
///
/// Calls may fail with any errno, EINTR too; `pwrite` and `pread` may do less than asked. Names are
/// single path components, relative to a directory handle; symbolic links are never followed. Files
/// get mode 0600, directories 0700; a umask can only tighten them. Nothing above the `Files` folder
/// calls this protocol: it uses ``StoreDirectory`` and ``StoreFile``, where short counts and EINTR
/// are handled once.
///
/// Thread safety: every method may be called from any thread.
package protocol FileSystem: AnyObject, Sendable {
    /// Opens a directory by its path. The only call that takes a path and follows links.
    func openDirectory(path: String) throws(IOFailure) -> FileHandle
    /// Makes a directory by its path. Does not make its parents.
    func makeDirectory(path: String) throws(IOFailure)
    func makeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure)
    /// Opens a directory or a regular file; EINVAL when the name is something else, as a pipe.
    func open(
        _ name: String,
        in directory: FileHandle,
        _ mode: OpenMode
    ) throws(IOFailure) -> FileHandle
    /// Closes, whether or not it throws: never call it again.
    func close(_ file: FileHandle) throws(IOFailure)

    /// Writes at an offset and returns how many bytes were written.
    func pwrite(
        _ file: FileHandle,
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int
    /// Reads at an offset and returns how many bytes were read; 0 at the end of the file.
    func pread(
        _ file: FileHandle,
        into bytes: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int
    /// fdatasync: bytes and size of a file.
    func dataSync(_ file: FileHandle) throws(IOFailure)
    /// fsync of a directory: its entries.
    func syncDirectory(_ directory: FileHandle) throws(IOFailure)
    func size(_ file: FileHandle) throws(IOFailure) -> UInt64
    func truncate(_ file: FileHandle, to size: UInt64) throws(IOFailure)
    /// fallocate with mode 0: reserves blocks for [0, size) and extends the size; the new bytes are
    /// zero. EOPNOTSUPP where the file system cannot.
    func allocate(_ file: FileHandle, size: UInt64) throws(IOFailure)

    /// Renames within a directory, replacing the target. A directory replaces nothing but an empty
    /// one: ENOTEMPTY or EEXIST, ENOTDIR for a file.
    func rename(_ source: String, to target: String, in directory: FileHandle) throws(IOFailure)
    /// Gives a file a further name, perhaps in another directory; EEXIST when it is taken, EXDEV
    /// when the directories are on different file systems.
    func link(
        _ source: String,
        in directory: FileHandle,
        to target: String,
        in targetDirectory: FileHandle
    ) throws(IOFailure)
    func unlink(_ name: String, in directory: FileHandle) throws(IOFailure)
    /// Removes an empty directory; ENOTEMPTY or EEXIST when it is not.
    func removeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure)
    /// The names in a directory without `.` and `..`, in no particular order.
    func list(_ directory: FileHandle) throws(IOFailure) -> [String]
    /// Locks an open file without waiting, until it is closed. Excludes every other open file
    /// description, of this process too. EWOULDBLOCK when somebody else has it.
    func lock(_ file: FileHandle, exclusive: Bool) throws(IOFailure)
    /// Gives a lock back. Closing does so too, but not while a process that was forked a moment ago
    /// still has the file open.
    func unlock(_ file: FileHandle)
    /// Bytes that an unprivileged user may still write to the directory's file system.
    func freeSpace(_ directory: FileHandle) throws(IOFailure) -> UInt64
    /// The permission bits of an open file or directory.
    func permissions(_ file: FileHandle) throws(IOFailure) -> UInt32
}
