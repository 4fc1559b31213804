internal import Glibc
internal import Synchronization

/// A write that stopped before its end.
package struct WriteFailure: Error {
    package let error: EngineError
    /// How many bytes, from the write's offset on, the system accepted before the call that failed.
    package let bytesWritten: Int
}

/// An open file: short counts and interrupted calls end here.
///
/// Dropping the last reference closes a file that was not closed, and reports no error.
///
/// Thread safety: every method may be called from any thread, but none during or after `close`.
package final class StoreFile: Sendable {
    /// The name in errors, relative to the store's directory.
    package let name: String
    private let fileSystem: any FileSystem
    private let handle: FileHandle
    private let isClosed = Atomic(false)

    init(_ handle: FileHandle, name: String, in fileSystem: any FileSystem) {
        self.handle = handle
        self.name = name
        self.fileSystem = fileSystem
    }

    deinit {
        guard !isClosed.load(ordering: .relaxed) else { return }
        do throws(IOFailure) { try fileSystem.close(handle) } catch {}
    }

    /// Writes all the bytes, or says how many.
    ///
    /// When it throws, bytes behind `bytesWritten` may have been written too, in any pattern,
    /// except when the code is `noSpace`: then there are none.
    package func writeFully(
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64
    ) throws(WriteFailure) {
        var written = 0
        while written < bytes.count {
            let place = offset + UInt64(written)
            do throws(IOFailure) {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
                let count = try uninterrupted { () throws(IOFailure) in
                    try fileSystem.pwrite(usable, rest, at: place)
                }
                // Writing nothing is not an error to the system, but trying again would never end.
                guard count > 0 else { throw IOFailure("pwrite", EIO) }
                written += count
            } catch {
                let error = EngineError(error, file: name, offset: place)
                throw WriteFailure(error: error, bytesWritten: written)
            }
        }
    }

    package func writeFully(_ bytes: [UInt8], at offset: UInt64) throws(WriteFailure) {
        let result = bytes.withUnsafeBytes { pointer in
            Result { () throws(WriteFailure) in try writeFully(pointer, at: offset) }
        }
        try result.get()
    }

    /// Fills the buffer, and returns less than its size only at the end of the file.
    package func read(
        into bytes: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(EngineError) -> Int {
        var done = 0
        // Media errors can be transient, hence one more attempt.
        var mayRetry = true
        while done < bytes.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: bytes[done...])
            let place = offset + UInt64(done)
            do {
                let count = try uninterrupted { () throws(IOFailure) in
                    try fileSystem.pread(usable, into: rest, at: place)
                }
                if count == 0 { break }
                done += count
            } catch {
                guard error.errno == EIO, mayRetry else {
                    throw EngineError(error, file: name, offset: place)
                }
                mayRetry = false
            }
        }
        return done
    }

    /// Reads `count` bytes, and returns fewer only at the end of the file.
    ///
    /// Allocates `count` bytes first: a count that comes from a file is to be checked before.
    package func read(count: Int, at offset: UInt64) throws(EngineError) -> [UInt8] {
        var result: Result<Void, EngineError> = .success(())
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            do throws(EngineError) {
                let buffer = UnsafeMutableRawBufferPointer(
                    start: buffer.baseAddress,
                    count: count
                )
                initializedCount = try read(into: buffer, at: offset)
            } catch {
                result = .failure(error)
            }
        }
        try result.get()
        return bytes
    }

    /// Makes the bytes and the size durable (fdatasync).
    ///
    /// After an error, `noSpace` too, the system may have dropped the bytes and call the file
    /// clean: a second sync would succeed and prove nothing, so there is none. An interrupted sync
    /// is another matter: it has not reported on the bytes yet.
    package func dataSync() throws(EngineError) {
        try call { () throws(IOFailure) in try fileSystem.dataSync(usable) }
    }

    package func size() throws(EngineError) -> UInt64 {
        try call { () throws(IOFailure) in try fileSystem.size(usable) }
    }

    package func truncate(to size: UInt64) throws(EngineError) {
        try call { () throws(IOFailure) in try fileSystem.truncate(usable, to: size) }
    }

    /// Reserves [0, size) and extends the size; fails with EOPNOTSUPP where the file system cannot.
    package func allocate(size: UInt64) throws(EngineError) {
        try call { () throws(IOFailure) in try fileSystem.allocate(usable, size: size) }
    }

    /// Locks the file without waiting, until it is closed.
    func lock(exclusive: Bool) throws(IOFailure) {
        try uninterrupted { () throws(IOFailure) in
            try fileSystem.lock(usable, exclusive: exclusive)
        }
    }

    func unlock() { fileSystem.unlock(usable) }

    /// Closes the file; also when it throws.
    package func close() throws(EngineError) {
        let wasClosed = isClosed.exchange(true, ordering: .relaxed)
        precondition(!wasClosed, "the file is closed already")
        do {
            try fileSystem.close(handle)
        } catch {
            // The system has closed it: an interrupted close is not to be repeated.
            if error.errno != EINTR { throw EngineError(error, file: name) }
        }
    }

    /// The handle, while nobody else can have got its number.
    private var usable: FileHandle {
        precondition(!isClosed.load(ordering: .relaxed), "the file is closed")
        return handle
    }

    private func call<R>(_ body: () throws(IOFailure) -> R) throws(EngineError) -> R {
        do {
            return try uninterrupted(body)
        } catch {
            throw EngineError(error, file: name)
        }
    }
}
