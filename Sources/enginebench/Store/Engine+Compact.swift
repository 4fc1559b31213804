internal import StorageEngine
internal import ToolSupport

extension Engine {
    /// Stands in for the engine's own, which this build has not.
    func compact() throws(ToolError) {
        throw ToolError("compacting the store: not possible in this build")
    }
}
