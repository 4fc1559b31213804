internal import Glibc

extension StoreDirectory {
    /// Copies a byte range of a file, as far as the file goes, into a new file in `quarantine/`.
    ///
    /// The copy is durable when this returns. Nothing in quarantine is ever overwritten.
    /// - Returns: The new file's name, relative to the store's directory.
    package func saveToQuarantine(
        _ range: Range<UInt64>,
        of source: StoreFile
    ) throws(EngineError) -> String {
        let quarantine = try openQuarantine()
        defer { do throws(IOFailure) { try fileSystem.close(quarantine) } catch {} }
        let (name, target) = try createFresh(
            prefix: "\(source.name)-\(range.lowerBound)",
            in: quarantine
        )
        do {
            try copy(range, of: source, to: target)
            try target.dataSync()
            try target.close()
            try call(.quarantine) { () throws(IOFailure) in
                try fileSystem.syncDirectory(quarantine)
            }
        } catch {
            // Half a copy proves nothing, and the original is still there.
            do throws(IOFailure) { try fileSystem.unlink(name, in: quarantine) } catch {}
            throw error
        }
        return target.name
    }

    private func openQuarantine() throws(EngineError) -> FileHandle {
        let name = FileName.quarantine.description
        try call(.quarantine) { () throws(IOFailure) in
            do throws(IOFailure) {
                try fileSystem.makeDirectory(name, in: handle)
            } catch {
                guard error.errno == EEXIST else { throw error }
            }
        }
        // Also when it was there: whoever made it may have stopped before this.
        try syncEntries()
        return try call(.quarantine) { () throws(IOFailure) in
            try fileSystem.open(name, in: handle, .directory)
        }
    }

    private func createFresh(
        prefix: String,
        in quarantine: FileHandle
    ) throws(EngineError) -> (name: String, file: StoreFile) {
        var number = 1
        while true {
            let name = "\(prefix)-\(number)"
            let label = "\(FileName.quarantine)/\(name)"
            do throws(IOFailure) {
                let handle = try uninterrupted { () throws(IOFailure) in
                    try fileSystem.open(name, in: quarantine, .create)
                }
                return (name, StoreFile(handle, name: label, in: fileSystem))
            } catch {
                guard error.errno == EEXIST, number < 1_000_000 else {
                    throw EngineError(error, file: label)
                }
                number += 1
            }
        }
    }

    private func copy(
        _ range: Range<UInt64>,
        of source: StoreFile,
        to target: StoreFile
    ) throws(EngineError) {
        let chunkSize: UInt64 = 256 << 10
        var place = range.lowerBound
        while place < range.upperBound {
            let wanted = Int(min(chunkSize, range.upperBound - place))
            let bytes = try source.read(count: wanted, at: place)
            do {
                try target.writeFully(bytes, at: place - range.lowerBound)
            } catch {
                throw error.error
            }
            place += UInt64(bytes.count)
            if bytes.count < wanted { break }
        }
    }
}
