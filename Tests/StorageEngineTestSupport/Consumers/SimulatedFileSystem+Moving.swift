import StorageEngine

extension SimulatedFileSystem {
    /// Takes a directory of files away, to a new file system, where it has another name and all of
    /// it is durable.
    func moving(_ path: String, to name: String) throws(IOFailure) -> SimulatedFileSystem {
        let target = SimulatedFileSystem(profile: profile)
        try target.makeDirectory(path: name)
        let directory = try target.openDirectory(path: name)
        let source = try openDirectory(path: path)
        for file in names(inDirectory: path, .cached) ?? [] {
            let copy = try target.open(file, in: directory, .create)
            let bytes = bytes(ofFile: "\(path)/\(file)", .cached) ?? []
            var done = 0
            while done < bytes.count {
                done += try bytes.span.withUnsafeBytes { bytes throws(IOFailure) in
                    try target.pwrite(
                        copy,
                        UnsafeRawBufferPointer(rebasing: bytes[done...]),
                        at: UInt64(done)
                    )
                }
            }
            try target.dataSync(copy)
            try target.close(copy)
            try unlink(file, in: source)
        }
        try target.syncDirectory(directory)
        try target.close(directory)
        try syncDirectory(source)
        try close(source)
        let parent = try openDirectory(path: "/")
        try removeDirectory(path, in: parent)
        // No crash is to bring it back.
        try syncDirectory(parent)
        try close(parent)
        return target.crashed(.all)
    }
}
