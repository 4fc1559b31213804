/// Moves along a history in portions, for whoever ships its records to other nodes. It hands out
/// what is readable, be it on disk or not.
///
/// Thread safety: none; one owner at a time.
package final class RecordCursor {
    private let cursor: FeedCursor
    /// Records that were read and not handed out yet.
    private var rest: RecordBatch?
    /// The last record that was handed out, or where the cursor began.
    package private(set) var position: Position

    /// What there is without waiting.
    package enum Step {
        case records(RecordBatch)
        /// None can be read now.
        case nothing
        /// Whoever may wait is to ask.
        case later
    }

    /// The most bytes of operations that are handed out at once.
    private static let quickSizeMax = 64 << 10

    init(_ cursor: FeedCursor) {
        self.cursor = cursor
        position = cursor.position
    }

    /// The records that come next, all of one epoch; `nil` when none can be read now. Blocks while
    /// files are read, and for nothing else.
    ///
    /// - Parameters:
    ///   - last: No record behind this sequence is handed out.
    ///   - sizeMax: The most bytes of operations, but at least one record.
    /// - Returns: At least one record, or `nil`.
    /// - Throws: ``EngineError`` with code `trimmed`, `corruption`, `io` or `closed`.
    package func next(
        through last: UInt64,
        sizeMax: Int
    ) throws(EngineError) -> RecordBatch? {
        var unread = self.rest
        if unread == nil { unread = try read() }
        guard let found = unread else { return nil }
        let records = found.prefix(through: last)
        guard !records.isEmpty else {
            self.rest = found
            return nil
        }
        let portion = records.prefix(sizeMax: sizeMax)
        let rest = found.dropFirst(portion.count)
        self.rest = rest.isEmpty ? nil : rest
        position = portion.end
        return portion
    }

    /// As ``next(through:sizeMax:)``, but opens, reads and closes no file, and hands out little. A
    /// record that is too large for that is copied once, for whoever may wait.
    package func nextAtOnce(through last: UInt64, sizeMax: Int) throws(EngineError) -> Step {
        if rest == nil {
            guard !cursor.hasFile else { return .later }
            switch try cursor.next(readsFiles: false) {
            case .batch(let batch): rest = batch
            case .wait: return .nothing
            case .needsFile: return .later
            }
        }
        guard let first = rest?.prefix(sizeMax: 0), first.size <= Self.quickSizeMax else {
            return .later
        }
        let sizeMax = min(sizeMax, Self.quickSizeMax)
        return try next(through: last, sizeMax: sizeMax).map(Step.records) ?? .nothing
    }

    private func read() throws(EngineError) -> RecordBatch? {
        switch try cursor.next(readsFiles: true) {
        case .batch(let batch): batch
        // What is readable and in no file yet is about to be appended; on a full disk that may
        // take long.
        case .wait: nil
        case .needsFile: preconditionFailure("files were to be read")
        }
    }
}
