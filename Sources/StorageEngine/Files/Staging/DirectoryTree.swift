internal import Glibc

/// Directories inside a directory, with all that is in them.
extension StoreDirectory {
    /// Opens a directory inside this one, and makes it when there is none, durably.
    package func subdirectory(_ name: String) throws(EngineError) -> StoreDirectory {
        try reporting(name) { () throws(IOFailure) in
            do throws(IOFailure) {
                try fileSystem.makeDirectory(name, in: handle)
            } catch {
                guard error.errno == EEXIST else { throw error }
            }
        }
        try syncEntries()
        let opened = try reporting(name) { () throws(IOFailure) in
            try fileSystem.open(name, in: handle, .directory)
        }
        return StoreDirectory(opened, path: "\(path)/\(name)", in: fileSystem)
    }

    /// Removes a directory inside this one, and all that is in it, durably; nothing when there is
    /// none. Directories in it may hold files only.
    package func removeTree(_ name: String) throws(EngineError) {
        let opened: FileHandle
        do throws(EngineError) {
            opened = try reporting(name) { () throws(IOFailure) in
                try fileSystem.open(name, in: handle, .directory)
            }
        } catch {
            guard error.errno == ENOENT else { throw error }
            return
        }
        let tree = StoreDirectory(opened, path: "\(path)/\(name)", in: fileSystem)
        for entry in try tree.names() { try tree.removeEntry(entry) }
        try removeDirectory(name)
        try syncEntries()
    }

    private func names() throws(EngineError) -> [String] {
        try call { () throws(IOFailure) in try fileSystem.list(handle) }
    }

    private func removeEntry(_ name: String) throws(EngineError) {
        do throws(EngineError) {
            try unlink(name)
        } catch {
            guard error.errno == EISDIR || error.errno == EPERM else { throw error }
            let opened = try reporting(name) { () throws(IOFailure) in
                try fileSystem.open(name, in: handle, .directory)
            }
            let inner = StoreDirectory(opened, path: "\(path)/\(name)", in: fileSystem)
            for entry in try inner.names() { try inner.unlink(entry) }
            try removeDirectory(name)
        }
    }

    private func unlink(_ name: String) throws(EngineError) {
        try reporting(name) { () throws(IOFailure) in
            do throws(IOFailure) {
                try fileSystem.unlink(name, in: handle)
            } catch {
                guard error.errno == ENOENT else { throw error }
            }
        }
    }

    private func removeDirectory(_ name: String) throws(EngineError) {
        try reporting(name) { () throws(IOFailure) in
            try fileSystem.removeDirectory(name, in: handle)
        }
    }

    private func reporting<R>(
        _ name: String,
        _ body: () throws(IOFailure) -> R
    ) throws(EngineError) -> R {
        do throws(IOFailure) {
            return try uninterrupted(body)
        } catch {
            throw EngineError(error, file: name)
        }
    }
}
