/// The file STORE of an open store, and the one place that replaces it: recovery and close move the
/// floor, the manifest's writer the manifest's number, and neither undoes what the other did.
///
/// Thread safety: `directory` is constant. `mark` and ``update(_:)`` belong to one caller at a
/// time: recovery, then the owner of the manifest's writer, then, once that has ended, close. There
/// is no lock because none may be held across a system call on a file.
package final class StoreMarkFile: @unchecked Sendable {
    private let directory: StoreDirectory
    /// What the file holds. After an update that failed, the file may hold what that wanted.
    package private(set) var mark: StoreMark

    /// Takes over a file that holds this mark.
    package init(directory: StoreDirectory, mark: StoreMark) {
        self.directory = directory
        self.mark = mark
    }

    /// Changes the mark, durable when this returns.
    ///
    /// When this throws, and after a crash, the file holds the old mark or the new one, whole, and
    /// ``mark`` is the old one: the next update replaces the file either way.
    package func update(_ change: (inout StoreMark) -> Void) throws(EngineError) {
        var changed = mark
        change(&changed)
        try directory.durableReplace(.store, with: changed.encoded())
        mark = changed
    }
}
