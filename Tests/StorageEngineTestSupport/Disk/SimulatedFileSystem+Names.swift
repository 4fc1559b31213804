internal import Glibc
package import StorageEngine

extension SimulatedFileSystem {
    package func openDirectory(path: String) throws(IOFailure) -> FileHandle {
        try with { state throws(IOFailure) in
            let fault = try state.begin(.openDirectory, path)
            guard let node = state.disk.node(path, .cached) else {
                throw IOFailure("openDirectory", ENOENT)
            }
            guard state.disk.directories[node] != nil else {
                throw IOFailure("openDirectory", ENOTDIR)
            }
            try state.finish(.openDirectory, fault)
            return state.openHandle(node, path, isWritable: false)
        }
    }

    package func makeDirectory(path: String) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let fault = try state.begin(.makeDirectory, path)
            let parts = path.split(separator: "/")
            let parentPath = parts.dropLast().joined(separator: "/")
            guard let name = parts.last, name != ".", name != ".." else {
                throw IOFailure("makeDirectory", EEXIST)
            }
            guard let parent = state.disk.node(parentPath, .cached) else {
                throw IOFailure("makeDirectory", ENOENT)
            }
            try state.makeDirectory(String(name), in: parent)
            try state.finish(.makeDirectory, fault)
        }
    }

    package func makeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "makeDirectory")
            let fault = try state.begin(.makeDirectory, name)
            try state.makeDirectory(name, in: parent.node)
            try state.finish(.makeDirectory, fault)
        }
    }

    package func open(
        _ name: String,
        in directory: FileHandle,
        _ mode: OpenMode
    ) throws(IOFailure) -> FileHandle {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "open")
            let call: SimulatedCall = mode == .create ? .create : .open
            let fault = try state.begin(call, name)
            let node = try state.find(name, in: parent.node, mode)
            try state.finish(call, fault)
            return state.openHandle(node, name, isWritable: mode == .readWrite || mode == .create)
        }
    }

    package func close(_ file: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let open = try state.open(file, "close")
            // Closed whatever is reported, as on Linux.
            state.closeHandle(file)
            let fault = try state.begin(.close, open.name)
            try state.finish(.close, fault)
        }
    }

    package func rename(
        _ source: String,
        to target: String,
        in directory: FileHandle
    ) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "rename")
            let fault = try state.begin(.rename, target)
            try state.checkWritable(.rename)
            try state.checkReplaceable(target, by: source, in: parent.node)
            if source != target {
                state.perform(.rename(directory: parent.node, source: source, target: target))
            }
            try state.finish(.rename, fault)
        }
    }

    package func link(
        _ source: String,
        in directory: FileHandle,
        to target: String,
        in targetDirectory: FileHandle
    ) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "link")
            let targetParent = try state.open(targetDirectory, "link")
            let fault = try state.begin(.link, target)
            try state.checkWritable(.link)
            let node = try state.file(source, in: parent.node, .link)
            guard let entries = state.disk.directories[targetParent.node] else {
                throw IOFailure("link", ENOTDIR)
            }
            guard entries.cached[target] == nil else { throw IOFailure("link", EEXIST) }
            state.perform(.link(node: node, directory: targetParent.node, name: target))
            try state.finish(.link, fault)
        }
    }

    package func removeDirectory(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "removeDirectory")
            let fault = try state.begin(.removeDirectory, name)
            try state.checkWritable(.removeDirectory)
            guard let node = state.disk.directories[parent.node]?.cached[name] else {
                throw IOFailure("removeDirectory", ENOENT)
            }
            try state.checkEmpty(node, .removeDirectory)
            state.perform(.removeDirectory(parent: parent.node, name: name))
            try state.finish(.removeDirectory, fault)
        }
    }

    package func unlink(_ name: String, in directory: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let parent = try state.open(directory, "unlink")
            let fault = try state.begin(.unlink, name)
            try state.checkWritable(.unlink)
            _ = try state.file(name, in: parent.node, .unlink)
            state.perform(.unlink(directory: parent.node, name: name))
            try state.finish(.unlink, fault)
        }
    }

    /// The names, in the reverse of their order: nobody is to rely on one.
    package func list(_ directory: FileHandle) throws(IOFailure) -> [String] {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.list, directory)
            guard let entries = state.disk.directories[open.node] else {
                throw IOFailure("list", ENOTDIR)
            }
            try state.finish(.list, fault)
            return entries.cached.keys.sorted(by: >)
        }
    }

    package func syncDirectory(_ directory: FileHandle) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.syncDirectory, directory)
            state.perform(.syncDirectory(node: open.node))
            try state.finish(.syncDirectory, fault)
        }
    }

    package func lock(_ file: FileHandle, exclusive: Bool) throws(IOFailure) {
        try with { state throws(IOFailure) in
            let (open, fault) = try state.begin(.lock, file)
            let others = state.locks[open.node, default: [:]].filter { $0.key != file.number }
            guard others.isEmpty || !exclusive && !others.values.contains(true) else {
                throw IOFailure("lock", EWOULDBLOCK)
            }
            state.locks[open.node, default: [:]][file.number] = exclusive
            try state.finish(.lock, fault)
        }
    }

    package func unlock(_ file: FileHandle) {
        try? with { state throws(IOFailure) in
            let open = try state.open(file, "unlock")
            state.locks[open.node]?[file.number] = nil
        }
    }
}

extension SimulatedState {
    fileprivate mutating func makeDirectory(_ name: String, in parent: Int) throws(IOFailure) {
        guard let entries = disk.directories[parent] else {
            throw IOFailure("makeDirectory", ENOTDIR)
        }
        guard entries.cached[name] == nil else { throw IOFailure("makeDirectory", EEXIST) }
        try checkWritable(.makeDirectory)
        perform(.makeDirectory(node: newNode(), parent: parent, name: name))
    }

    /// The node to open, which is made when it is to be new.
    fileprivate mutating func find(
        _ name: String,
        in parent: Int,
        _ mode: OpenMode
    ) throws(IOFailure) -> Int {
        guard let entries = disk.directories[parent] else { throw IOFailure("open", ENOTDIR) }
        let found = entries.cached[name]
        if mode == .create {
            guard found == nil else { throw IOFailure("create", EEXIST) }
            try checkWritable(.create)
            let node = newNode()
            perform(.create(node: node, parent: parent, name: name))
            return node
        }
        guard let found else { throw IOFailure("open", ENOENT) }
        let isDirectory = disk.directories[found] != nil
        guard isDirectory == (mode == .directory) else {
            throw IOFailure("open", isDirectory ? EISDIR : ENOTDIR)
        }
        if mode == .readWrite { try checkWritable(.open) }
        return found
    }

    /// Throws unless a name may be given to what has another one.
    fileprivate func checkReplaceable(
        _ target: String,
        by source: String,
        in parent: Int
    ) throws(IOFailure) {
        let entries = disk.directories[parent]?.cached ?? [:]
        guard let node = entries[source] else { throw IOFailure("rename", ENOENT) }
        guard source != target, let replaced = entries[target] else { return }
        if disk.files[node] == nil {
            try checkEmpty(replaced, .rename)
        } else if disk.files[replaced] == nil {
            throw IOFailure("rename", EISDIR)
        }
    }

    /// Throws unless a node is a directory without entries.
    fileprivate func checkEmpty(_ node: Int, _ call: SimulatedCall) throws(IOFailure) {
        guard let entries = disk.directories[node] else { throw IOFailure(call.rawValue, ENOTDIR) }
        guard entries.cached.isEmpty else { throw IOFailure(call.rawValue, ENOTEMPTY) }
    }

    /// The node of an existing file.
    fileprivate func file(
        _ name: String,
        in parent: Int,
        _ call: SimulatedCall
    ) throws(IOFailure) -> Int {
        guard let node = disk.directories[parent]?.cached[name] else {
            throw IOFailure(call.rawValue, ENOENT)
        }
        guard disk.files[node] != nil else { throw IOFailure(call.rawValue, EISDIR) }
        return node
    }
}
