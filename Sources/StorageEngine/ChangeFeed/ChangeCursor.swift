/// A consumer of changes for a thread of its own: the blocking form of ``Changes``.
///
/// ```swift
/// var changes = try engine.changeCursor(after: position)
/// while try changes.next(waits: true) { apply(changes.record) }
/// ```
///
/// Thread safety: none; a cursor has one owner, who may send it on.
public struct ChangeCursor: ~Copyable {
    private let cursor: FeedCursor
    let filter: KeyRange
    var batch: RecordBatch?
    /// The place behind the current record in the batch.
    var index = 0

    init(_ cursor: FeedCursor, filter: KeyRange) {
        self.cursor = cursor
        self.filter = filter
        position = cursor.position
    }

    /// Up to where the consumer has seen everything, records that its filter left out included.
    public internal(set) var position: Position

    /// Moves to the next record that touches a key of the filter.
    ///
    /// - Parameter waits: Whether to block until there is one.
    /// - Returns: `false` when there is none now.
    /// - Throws: ``EngineError`` with code `trimmed` when the cursor lags behind what the log
    ///   keeps, `closed` when the engine is closed, `indeterminate` when the log has failed,
    ///   `corruption` or `io`.
    public mutating func next(waits: Bool = false) throws(EngineError) -> Bool {
        while true {
            while let batch, index < batch.count {
                index += 1
                let current = record
                position = current.position
                if current.isWanted { return true }
            }
            batch = nil
            index = 0
            switch try cursor.next(readsFiles: true) {
            case .batch(let next): batch = next
            case .wait(let point):
                guard waits else { return false }
                try cursor.wait(for: point)
            case .needsFile: preconditionFailure("files were to be read")
            }
        }
    }

    /// The record where the cursor stands: ``next(waits:)`` has returned `true`.
    public var record: ChangeRecord {
        guard let batch, index > 0 else { preconditionFailure("the cursor stands on no record") }
        let entry = batch.entries[batch.entries.startIndex + index - 1]
        return ChangeRecord(entry, in: batch, filter: filter)
    }
}
