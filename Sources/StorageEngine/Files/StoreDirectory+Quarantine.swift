internal import Glibc

extension StoreDirectory {
    /// Copies a byte range of a file, as far as the file goes, into a new file in `quarantine/`.
    ///
    /// The copy is durable when this returns. Nothing in quarantine is ever overwritten; a copy
    /// that an earlier attempt made is used, once it is synced.
    /// - Returns: The copy's name, relative to the store's directory.
    @discardableResult
    package func saveToQuarantine(
        _ range: Range<UInt64>,
        of source: StoreFile
    ) throws(EngineError) -> String {
        let quarantine = try openQuarantine()
        defer { do throws(IOFailure) { try fileSystem.close(quarantine) } catch {} }
        let prefix = "\(source.name)-\(range.lowerBound)"
        if let copy = try findCopy(range, of: source, prefix: prefix, in: quarantine) {
            try copy.dataSync()
            try call(.quarantine) { () throws(IOFailure) in
                try fileSystem.syncDirectory(quarantine)
            }
            return copy.name
        }
        let (name, target) = try createFresh(prefix: prefix, in: quarantine)
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

    /// A copy of the range that is there already.
    private func findCopy(
        _ range: Range<UInt64>,
        of source: StoreFile,
        prefix: String,
        in quarantine: FileHandle
    ) throws(EngineError) -> StoreFile? {
        var number = 1
        while number < 1_000_000 {
            let name = "\(prefix)-\(number)"
            let label = "\(FileName.quarantine)/\(name)"
            let copy: StoreFile
            do throws(IOFailure) {
                let handle = try uninterrupted { () throws(IOFailure) in
                    try fileSystem.open(name, in: quarantine, .readWrite)
                }
                copy = StoreFile(handle, name: label, in: fileSystem)
            } catch {
                guard error.errno == ENOENT else { throw EngineError(error, file: label) }
                return nil
            }
            if try isCopy(copy, range, of: source) { return copy }
            number += 1
        }
        return nil
    }

    private func isCopy(
        _ copy: StoreFile,
        _ range: Range<UInt64>,
        of source: StoreFile
    ) throws(EngineError) -> Bool {
        let end = min(range.upperBound, max(range.lowerBound, try source.size()))
        guard try copy.size() == end - range.lowerBound else { return false }
        var place = range.lowerBound
        while place < end {
            let wanted = Int(min(Self.copySize, end - place))
            let bytes = try source.read(count: wanted, at: place)
            guard try copy.read(count: wanted, at: place - range.lowerBound) == bytes else {
                return false
            }
            place += UInt64(wanted)
        }
        return true
    }

    private static let copySize: UInt64 = 256 << 10

    private func copy(
        _ range: Range<UInt64>,
        of source: StoreFile,
        to target: StoreFile
    ) throws(EngineError) {
        var place = range.lowerBound
        while place < range.upperBound {
            let wanted = Int(min(Self.copySize, range.upperBound - place))
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
