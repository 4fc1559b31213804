internal import StorageEngine
internal import ToolSupport

/// A path of the command line: a file of a store, or its directory.
struct StorePath {
    let directory: String
    /// What the path's last part names; `nil` when it is no name of a store's file.
    let file: FileName?

    init(_ path: String) {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard let name = parts.last, path.hasSuffix(name),
            let file = FileName(parsing: String(name))
        else {
            directory = path
            file = nil
            return
        }
        let parent = path.dropLast(name.utf8.count)
        directory = parent.isEmpty ? "." : String(parent)
        self.file = file
    }

    func open() throws -> StoreDirectory { try StoreInspector.openDirectory(directory) }
}
