// Files that come, change and go as a whole. Nothing else in the engine renames or removes a file.
//
// A name is durable only when its directory was synced after it was made: a file that was synced
// and then renamed goes back to its old name if power is lost before that. Hence the order
// everywhere: bytes, sync of the file, name, sync of the directory, and only then whatever relies
// on the name.

internal import Glibc

extension StoreDirectory {
    /// Makes a file that did not exist, durable with all its bytes when this returns.
    ///
    /// After a crash the file may be there with any part of its bytes. When this throws, it has
    /// tried to remove the file again.
    package func durableCreate(
        _ name: FileName,
        _ fill: (StoreFile) throws(EngineError) -> Void
    ) throws(EngineError) -> StoreFile {
        let file = try open(name, .create)
        do {
            try fill(file)
            try file.dataSync()
            try syncEntries()
        } catch {
            removeIfPossible(name)
            throw error
        }
        return file
    }

    @discardableResult
    package func durableCreate(
        _ name: FileName,
        contents: [UInt8]
    ) throws(EngineError) -> StoreFile {
        try durableCreate(name) { file throws(EngineError) in try file.write(contents) }
    }

    /// Puts a new file in the place of an old one, or of none.
    ///
    /// After a crash, and when this throws, the name holds the old bytes or the new ones, whole.
    /// The name must have a ``FileName/temporary``.
    package func durableReplace(
        _ name: FileName,
        _ fill: (StoreFile) throws(EngineError) -> Void
    ) throws(EngineError) {
        guard let temporary = name.temporary else {
            preconditionFailure("\(name) is never replaced")
        }
        try remove(temporary)
        let file = try open(temporary, .create)
        do {
            try fill(file)
            try file.dataSync()
            try file.close()
        } catch {
            removeIfPossible(temporary)
            throw error
        }
        try rename(temporary, to: name)
    }

    package func durableReplace(_ name: FileName, contents: [UInt8]) throws(EngineError) {
        try durableReplace(name) { file throws(EngineError) in try file.write(contents) }
    }

    /// Puts the temporary form of a file, which is durable, in the place of the file itself.
    ///
    /// After a crash, and when this throws, the name holds the old bytes or the new ones, whole.
    func durableAdopt(_ name: FileName) throws(EngineError) {
        guard let temporary = name.temporary else {
            preconditionFailure("\(name) is never replaced")
        }
        try rename(temporary, to: name)
    }

    private func rename(_ source: FileName, to target: FileName) throws(EngineError) {
        // A rename that reports an error may have happened; whatever is there is left alone.
        try call(target) { () throws(IOFailure) in
            try fileSystem.rename(source.description, to: target.description, in: handle)
        }
        try syncEntries()
    }

    /// Removes files, durable when this returns. Names that are absent already are fine.
    package func durableRemove(_ names: [FileName]) throws(EngineError) {
        precondition(!names.contains(.lock), "a lock is worth nothing once its file is removed")
        for name in names { try remove(name) }
        try syncEntries()
    }

    func remove(_ name: FileName) throws(EngineError) {
        do {
            try call(name) { () throws(IOFailure) in
                try fileSystem.unlink(name.description, in: handle)
            }
        } catch {
            guard error.errno == ENOENT else { throw error }
        }
    }

    /// Cleans up after an error, which is the one to report.
    func removeIfPossible(_ name: FileName) {
        do { try remove(name) } catch {}
    }
}

extension StoreFile {
    /// Writes the whole contents of a new file.
    fileprivate func write(_ contents: [UInt8]) throws(EngineError) {
        do {
            try writeFully(contents, at: 0)
        } catch {
            throw error.error
        }
    }
}
