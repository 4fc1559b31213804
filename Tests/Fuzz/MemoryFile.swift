import Glibc

@testable import StorageEngine

/// One file of bytes that are there; nothing else exists, and nothing can be changed.
///
/// Thread safety: immutable.
final class MemoryFile: FileSystem {
    private let bytes: [UInt8]
    private let name: String
    private static let directory = FileHandle(number: 1)
    private static let file = FileHandle(number: 2)

    init(_ bytes: [UInt8], name: String) {
        self.bytes = bytes
        self.name = name
    }

    /// The file, opened.
    var opened: StoreFile { StoreFile(Self.file, name: name, in: self) }

    func openDirectory(path: String) throws(IOFailure) -> FileHandle { Self.directory }

    func open(
        _ name: String,
        in directory: FileHandle,
        _ mode: OpenMode
    ) throws(IOFailure) -> FileHandle {
        guard name == self.name else { throw IOFailure("openat", ENOENT) }
        return Self.file
    }

    func close(_ file: FileHandle) throws(IOFailure) {}

    func pread(
        _ file: FileHandle,
        into target: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int {
        guard offset < UInt64(bytes.count) else { return 0 }
        let count = min(target.count, bytes.count - Int(offset))
        target.copyBytes(from: bytes[Int(offset)..<Int(offset) + count])
        return count
    }

    func size(_ file: FileHandle) throws(IOFailure) -> UInt64 { UInt64(bytes.count) }
    func permissions(_ file: FileHandle) throws(IOFailure) -> UInt32 { 0o700 }
    func list(_ directory: FileHandle) throws(IOFailure) -> [String] { [name] }
    func freeSpace(_ directory: FileHandle) throws(IOFailure) -> UInt64 { 0 }

    // MARK: - Refused

    func makeDirectory(path: String) throws(IOFailure) { throw IOFailure("mkdir", EROFS) }
    func makeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {
        throw IOFailure("mkdirat", EROFS)
    }
    func pwrite(
        _ file: FileHandle,
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int { throw IOFailure("pwrite", EROFS) }
    func dataSync(_ file: FileHandle) throws(IOFailure) { throw IOFailure("fdatasync", EROFS) }
    func syncDirectory(_ directory: FileHandle) throws(IOFailure) {
        throw IOFailure("fsync", EROFS)
    }
    func truncate(_ file: FileHandle, to size: UInt64) throws(IOFailure) {
        throw IOFailure("ftruncate", EROFS)
    }
    func allocate(_ file: FileHandle, size: UInt64) throws(IOFailure) {
        throw IOFailure("fallocate", EROFS)
    }
    func rename(_ source: String, to target: String, in directory: FileHandle) throws(IOFailure) {
        throw IOFailure("renameat", EROFS)
    }
    func unlink(_ name: String, in directory: FileHandle) throws(IOFailure) {
        throw IOFailure("unlinkat", EROFS)
    }
    func unlock(_ file: FileHandle) {}
    func link(
        _ source: String,
        in directory: FileHandle,
        to target: String,
        in targetDirectory: FileHandle
    ) throws(IOFailure) {}
    func removeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {}
    func lock(_ file: FileHandle, exclusive: Bool) throws(IOFailure) {}
}
