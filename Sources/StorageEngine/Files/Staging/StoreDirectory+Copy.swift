internal import Glibc

// Files that come from another directory. Their bytes are synced when these calls return; their
// names are durable with the next sync of the directory.

extension StoreDirectory {
    /// Gives a file of another directory the same name here.
    ///
    /// - Returns: `false` when the file systems do not allow it: the file must be copied then.
    /// - Throws: ``EngineError`` with code `io` or `noSpace`.
    func link(_ name: FileName, of source: StoreDirectory) throws(EngineError) -> Bool {
        do throws(EngineError) {
            try call(name) { () throws(IOFailure) in
                try fileSystem.link(
                    name.description,
                    in: source.handle,
                    to: name.description,
                    in: handle
                )
            }
            return true
        } catch {
            let reasons = [EXDEV, EPERM, EMLINK, EOPNOTSUPP, ENOSYS]
            guard let errno = error.errno, reasons.contains(errno) else { throw error }
            return false
        }
    }

    /// Copies the first bytes of a file to a new one. When this throws, it has tried to remove it.
    ///
    /// - Parameters:
    ///   - source: The file to copy.
    ///   - length: How many bytes are copied.
    ///   - hashed: How many of them the checksum covers.
    ///   - name: The new file's.
    /// - Returns: The checksum of what was copied.
    /// - Throws: ``EngineError`` with code `corruption` when the source is shorter, `io` or
    ///   `noSpace`.
    func copy(
        _ source: StoreFile,
        length: UInt64,
        hashing hashed: UInt64,
        as name: FileName
    ) throws(EngineError) -> UInt64 {
        let target = try open(name, .create)
        do throws(EngineError) {
            let checksum = try source.digest(hashed, copying: length, to: target)
            try target.dataSync()
            try target.close()
            return checksum
        } catch {
            removeIfPossible(name)
            throw error
        }
    }
}

extension StoreFile {
    /// A copy is synced at least this often while it grows, so that the last sync is short and
    /// those of the log need not wait for it.
    private static let syncDistance: UInt64 = 8 << 20

    /// The XXH3-64 of the first bytes of the file.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when there are fewer, or `io`.
    package func digest(_ length: UInt64) throws(EngineError) -> UInt64 {
        try digest(length, copying: length, to: nil)
    }

    fileprivate func digest(
        _ hashed: UInt64,
        copying length: UInt64,
        to target: StoreFile?
    ) throws(EngineError) -> UInt64 {
        var input = FileInput(file: self, limit: length)
        var checksum = Checksum.Stream()
        var offset: UInt64 = 0
        var unsynced: UInt64 = 0
        while offset < length {
            let bytes = try input.bytes(at: offset, count: Int(min(1 << 20, length - offset)))
            if offset < hashed {
                let count = min(bytes.count, Int(hashed - offset))
                checksum.append(UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            }
            do throws(WriteFailure) {
                try target?.writeFully(bytes, at: offset)
            } catch {
                throw error.error
            }
            offset += UInt64(bytes.count)
            unsynced += UInt64(bytes.count)
            if unsynced >= Self.syncDistance {
                try target?.dataSync()
                unsynced = 0
            }
        }
        return checksum.finish()
    }
}
