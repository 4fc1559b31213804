internal import CEngineSystem
internal import Glibc

/// The operating system's files.
///
/// Thread safety: stateless.
package final class PosixFileSystem: FileSystem {
    package init() {}

    package func openDirectory(path: String) throws(IOFailure) -> FileHandle {
        let path = try checked(path: path, "openat")
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        return FileHandle(number: try descriptor(csystem_openat(AT_FDCWD, path, flags, 0)))
    }

    package func makeDirectory(path: String) throws(IOFailure) {
        let path = try checked(path: path, "mkdir")
        try check("mkdir", mkdir(path, Mode.directory))
    }

    package func makeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try check("mkdirat", mkdirat(directory.number, checked(name), Mode.directory))
    }

    package func open(
        _ name: String,
        in directory: FileHandle,
        _ mode: OpenMode
    ) throws(IOFailure) -> FileHandle {
        // O_NONBLOCK means nothing to a regular file; without it, opening a planted pipe would
        // hang.
        let always = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY
        let flags =
            switch mode {
            case .read: O_RDONLY
            case .readWrite: O_RDWR
            case .create: O_RDWR | O_CREAT | O_EXCL
            case .directory: O_RDONLY | O_DIRECTORY
            }
        let number = try descriptor(
            csystem_openat(directory.number, checked(name), flags | always, Mode.file)
        )
        let file = FileHandle(number: number)
        do throws(IOFailure) {
            let kind = mode == .directory ? S_IFDIR : S_IFREG
            guard try status(file).st_mode & S_IFMT == kind else {
                throw IOFailure("openat", EINVAL)
            }
        } catch {
            _ = Glibc.close(number)
            throw error
        }
        return file
    }

    package func close(_ file: FileHandle) throws(IOFailure) {
        try check("close", Glibc.close(file.number))
    }

    // MARK: - Bytes

    package func pwrite(
        _ file: FileHandle,
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int {
        let offset = try checked(offset, "pwrite")
        let count = Glibc.pwrite(file.number, bytes.baseAddress, bytes.count, offset)
        guard count >= 0 else { throw IOFailure("pwrite", errno) }
        return count
    }

    package func pread(
        _ file: FileHandle,
        into bytes: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int {
        let offset = try checked(offset, "pread")
        let count = Glibc.pread(file.number, bytes.baseAddress, bytes.count, offset)
        guard count >= 0 else { throw IOFailure("pread", errno) }
        return count
    }

    package func dataSync(_ file: FileHandle) throws(IOFailure) {
        try check("fdatasync", fdatasync(file.number))
    }

    package func syncDirectory(_ directory: FileHandle) throws(IOFailure) {
        try check("fsync", fsync(directory.number))
    }

    package func size(_ file: FileHandle) throws(IOFailure) -> UInt64 {
        UInt64(try status(file).st_size)
    }

    package func truncate(_ file: FileHandle, to size: UInt64) throws(IOFailure) {
        try check("ftruncate", ftruncate(file.number, checked(size, "ftruncate")))
    }

    package func allocate(_ file: FileHandle, size: UInt64) throws(IOFailure) {
        let size = try checked(size, "fallocate")
        let code = csystem_allocate(file.number, 0, Int64(size))
        guard code == 0 else { throw IOFailure("fallocate", code) }
    }

    // MARK: - Names

    package func rename(
        _ source: String,
        to target: String,
        in directory: FileHandle
    ) throws(IOFailure) {
        let number = directory.number
        try check("renameat", renameat(number, checked(source), number, checked(target)))
    }

    package func link(
        _ source: String,
        in directory: FileHandle,
        to target: String,
        in targetDirectory: FileHandle
    ) throws(IOFailure) {
        let (from, to) = (directory.number, targetDirectory.number)
        try check("linkat", linkat(from, checked(source), to, checked(target), 0))
    }

    package func unlink(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try check("unlinkat", unlinkat(directory.number, checked(name), 0))
    }

    package func removeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try check("unlinkat", unlinkat(directory.number, checked(name), AT_REMOVEDIR))
    }

    package func list(_ directory: FileHandle) throws(IOFailure) -> [String] {
        // A descriptor of its own: readdir moves the offset of the open file description.
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
        let number = try descriptor(csystem_openat(directory.number, ".", flags, 0))
        guard let stream = fdopendir(number) else {
            let failure = IOFailure("fdopendir", errno)
            _ = Glibc.close(number)
            throw failure
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw IOFailure("readdir", errno) }
        return names
    }

    // MARK: - The rest

    package func lock(_ file: FileHandle, exclusive: Bool) throws(IOFailure) {
        let code = csystem_lock(file.number, exclusive ? 1 : 0)
        guard code == 0 else { throw IOFailure("flock", code) }
    }

    package func unlock(_ file: FileHandle) { csystem_unlock(file.number) }

    package func freeSpace(_ directory: FileHandle) throws(IOFailure) -> UInt64 {
        var status = statvfs()
        try check("fstatvfs", fstatvfs(directory.number, &status))
        let product = UInt64(status.f_bavail).multipliedReportingOverflow(
            by: UInt64(status.f_frsize)
        )
        return product.overflow ? .max : product.partialValue
    }

    package func permissions(_ file: FileHandle) throws(IOFailure) -> UInt32 {
        try status(file).st_mode & 0o7777
    }

    private func status(_ file: FileHandle) throws(IOFailure) -> stat {
        var status = stat()
        try check("fstat", fstat(file.number, &status))
        return status
    }
}

private enum Mode {
    static let file: UInt32 = 0o600
    static let directory: UInt32 = 0o700
}

private func check(_ operation: String, _ result: Int32) throws(IOFailure) {
    guard result == 0 else { throw IOFailure(operation, errno) }
}

private func descriptor(_ result: Int32) throws(IOFailure) -> Int32 {
    guard result >= 0 else { throw IOFailure("openat", -result) }
    return result
}

private func checked(_ offset: UInt64, _ operation: String) throws(IOFailure) -> Int {
    guard let offset = Int(exactly: offset) else { throw IOFailure(operation, EFBIG) }
    return offset
}

/// A path comes from the caller: a zero byte in it would silently name something else.
private func checked(path: String, _ operation: String) throws(IOFailure) -> String {
    guard !path.utf8.contains(0) else { throw IOFailure(operation, EINVAL) }
    return path
}

/// Names are spelled by the engine itself, so a bad one is a bug.
private func checked(_ name: String) -> String {
    let bad: [UInt8] = [0, UInt8(ascii: "/")]
    precondition(!["", ".", ".."].contains(name) && !name.utf8.contains(where: bad.contains))
    return name
}
