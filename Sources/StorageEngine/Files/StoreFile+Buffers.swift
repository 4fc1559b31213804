internal import Glibc

extension StoreFile {
    /// Writes all bytes of a buffer.
    func write(_ buffer: borrowing ByteBuffer, at offset: UInt64) throws(EngineError) {
        do throws(WriteFailure) {
            try writeFully(buffer.bytes, at: offset)
        } catch {
            throw error.error
        }
    }
}

extension StoreDirectory {
    /// Replaces a file by the bytes of a buffer.
    func durableReplace(
        _ name: FileName,
        with buffer: borrowing ByteBuffer
    ) throws(EngineError) {
        // A closure cannot hold a borrowed buffer; the caller keeps it alive for all of the call.
        let bytes = buffer.bytes
        try durableReplace(name) { file throws(EngineError) in
            do throws(WriteFailure) {
                try file.writeFully(bytes, at: 0)
            } catch {
                throw error.error
            }
        }
    }
}

extension StoreDirectory.Listing {
    /// The numbers of the log files, ascending.
    var logNumbers: [UInt64] {
        known.compactMap { if case .log(let number) = $0 { number } else { nil } }.sorted()
    }

    /// The numbers of the manifest files, ascending.
    var manifestNumbers: [UInt64] {
        known.compactMap { if case .manifest(let number) = $0 { number } else { nil } }.sorted()
    }

    /// Whether the directory is one of backups.
    var holdsBackups: Bool {
        known.contains {
            switch $0 {
            case .backup, .temporaryBackup, .savedLog, .savedSegment: true
            default: false
            }
        }
    }
}

extension EngineError {
    /// Whether a file or directory was not there.
    var isMissingFile: Bool { errno == ENOENT }
    /// Whether a name was taken already.
    var isTakenName: Bool { errno == EEXIST }
    /// Whether the file system does not know the call.
    var isUnsupported: Bool { errno == EOPNOTSUPP }
}
