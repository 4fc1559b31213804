internal import Glibc
package import StorageEngine

extension SimulatedFileSystem {
    package func pwrite(
        _ file: FileHandle,
        _ bytes: UnsafeRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.write, file)
            let size = try state.writableSize(open, .write)
            guard offset < SimulatedState.offsetLimit else { throw IOFailure("write", EFBIG) }
            let wanted = min(bytes.count, fault?.bytesDone ?? .max)
            let count = try state.fitting(wanted, at: offset, size)
            if count > 0 {
                let written = [UInt8](bytes[..<count])
                state.perform(.write(node: open.node, offset: offset, bytes: written))
            }
            state.hash.add(count)
            try state.finish(.write, fault)
            return count
        }
    }

    package func pread(
        _ file: FileHandle,
        into bytes: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(IOFailure) -> Int {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.read, file)
            guard let contents = state.disk.files[open.node]?.cached else {
                throw IOFailure("read", EISDIR)
            }
            guard offset < SimulatedState.offsetLimit else { throw IOFailure("read", EINVAL) }
            let count = min(bytes.count, fault?.bytesDone ?? .max)
            let part = UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
            let done = contents.read(into: part, at: offset)
            state.readSize += UInt64(done)
            state.hash.add(done)
            try state.finish(.read, fault)
            return done
        }
    }

    /// An error other than EINTR marks what was to be written as clean; see ``SimulatedDisk``.
    package func dataSync(_ file: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let open = try state.open(file, "dataSync")
            let fault: SimulatedFault?
            do throws(IOFailure) {
                fault = try state.begin(.dataSync, open.name)
            } catch {
                if error.errno != EINTR { state.failSync(open.node) }
                throw error
            }
            if state.space.allocatesLate, state.isOverfull {
                state.failSync(open.node)
                throw IOFailure("dataSync", state.space.errno)
            }
            state.perform(.sync(node: open.node))
            try state.finish(.dataSync, fault)
        }
    }

    package func size(_ file: FileHandle) throws(IOFailure) -> UInt64 {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.size, file)
            try state.finish(.size, fault)
            return state.disk.files[open.node]?.cached.size ?? 0
        }
    }

    package func truncate(_ file: FileHandle, to size: UInt64) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.truncate, file)
            let oldSize = try state.writableSize(open, .truncate)
            try state.checkRoom(from: oldSize, to: size, .truncate)
            state.perform(.truncate(node: open.node, size: size))
            try state.finish(.truncate, fault)
        }
    }

    package func allocate(_ file: FileHandle, size: UInt64) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.allocate, file)
            let oldSize = try state.writableSize(open, .allocate)
            guard size > 0 else { throw IOFailure("allocate", EINVAL) }
            try state.checkRoom(from: oldSize, to: size, .allocate)
            state.perform(.allocate(node: open.node, size: size))
            try state.finish(.allocate, fault)
        }
    }

    package func freeSpace(_ directory: FileHandle) throws(IOFailure) -> UInt64 {
        try with { state throws(IOFailure) in
            let (_, fault) = try state.begin(.freeSpace, directory)
            try state.finish(.freeSpace, fault)
            return state.freeSpace
        }
    }

    package func permissions(_ file: FileHandle) throws(IOFailure) -> UInt32 {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.permissions, file)
            try state.finish(.permissions, fault)
            let usual: UInt32 = state.disk.directories[open.node] == nil ? 0o600 : 0o700
            return state.disk.permissions[open.node] ?? usual
        }
    }
}

extension SimulatedState {
    fileprivate mutating func failSync(_ node: Int) {
        perform(.failedSync(node: node, reverts: failedSyncReverts))
    }

    /// The size of a file that may be changed.
    fileprivate func writableSize(
        _ file: OpenFile,
        _ call: SimulatedCall
    ) throws(IOFailure) -> UInt64 {
        guard file.isWritable, let size = disk.files[file.node]?.cached.size else {
            throw IOFailure(call.rawValue, EBADF)
        }
        try checkWritable(call)
        return size
    }

    /// How many bytes of a write the disk has room for: first fewer than asked, then an error.
    fileprivate func fitting(
        _ count: Int,
        at offset: UInt64,
        _ size: UInt64
    ) throws(IOFailure) -> Int {
        let end = offset + UInt64(count)
        guard end > size, count > 0, !space.allocatesLate else { return count }
        let limit = size.addingReportingOverflow(freeSpace)
        if limit.overflow || end <= limit.partialValue { return count }
        guard limit.partialValue > offset else { throw IOFailure("write", space.errno) }
        return Int(limit.partialValue - offset)
    }

    fileprivate func checkRoom(
        from size: UInt64,
        to newSize: UInt64,
        _ call: SimulatedCall
    ) throws(IOFailure) {
        guard newSize > size, newSize - size > freeSpace else { return }
        throw IOFailure(call.rawValue, space.errno)
    }
}
