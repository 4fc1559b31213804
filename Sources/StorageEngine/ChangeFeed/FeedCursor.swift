// A consumer's place in the history. It reads from memory while it keeps up, and from the log's
// files while it does not; at each step it looks into memory first, so that both ways change
// without a gap.

/// What a consumer got, or why he gets nothing.
enum FeedStep {
    case batch(RecordBatch)
    /// Nothing until something behind the cursor's sequence has reached a point.
    case wait(AckPoint)
    /// Only a file can say, and was not to be asked.
    case needsFile
}

/// Moves along a history, batch by batch.
///
/// Thread safety: none; one owner at a time.
final class FeedCursor {
    private let source: any FeedSource
    let horizon: AckPoint
    /// The last record that was handed out.
    private(set) var position: Position
    private var chunk: (FeedChunk, FeedChunk.Place)?
    private var files: LogFeedReader?
    /// Records from files that are behind the horizon.
    private var pending: RecordBatch?

    /// Records handed out since the last wait.
    private var countSinceWait = 0

    private static let batchSize = 64 << 10
    /// Records between two waits that make a stream: at 100 microseconds from one waking to the
    /// next, 160,000 in a second.
    private static let streamCount = 16

    /// A cursor behind a position that was checked.
    private init(_ source: any FeedSource, _ position: Position, horizon: AckPoint) {
        self.source = source
        self.position = position
        self.horizon = horizon
        source.tail?.enter()
    }

    deinit { source.tail?.leave() }

    /// A cursor that starts exactly behind a position.
    ///
    /// - Throws: ``EngineError`` with code `trimmed` when the log does not go back that far,
    ///   `diverged` when the position is of another history, `ahead` when it is behind the end of
    ///   this one; `corruption`, `io` or `closed`.
    static func open(
        _ source: any FeedSource,
        after position: Position,
        horizon: AckPoint
    ) throws(EngineError) -> FeedCursor {
        let last = source.feedLimit(.memory)
        guard position.sequence <= last else {
            throw EngineError(
                .ahead,
                "reading changes: the position \(position.sequence) is behind the last one, "
                    + "\(last)",
                sequence: last
            )
        }
        try checkEpoch(position, source.epochs)
        guard position.sequence >= source.catalog.oldest.lastSequence else {
            throw LogFeedReader.trimmed(source)
        }
        let cursor = FeedCursor(source, position, horizon: horizon)
        if let hash = position.logHash, position.sequence > 0 { try cursor.check(hash) }
        return cursor
    }

    /// Refuses a position whose epoch did not hold its sequence here. Epoch 0 stands for any.
    private static func checkEpoch(
        _ position: Position,
        _ epochs: [EpochEntry]
    ) throws(EngineError) {
        guard position.epoch.number > 0, let oldest = epochs.first,
            position.epoch.number >= oldest.epoch.number
        else { return }
        let index = epochs.firstIndex { $0.epoch == position.epoch }
        guard let index else {
            throw diverged(position, "its epoch \(position.epoch) was never here")
        }
        let end = index + 1 < epochs.count ? epochs[index + 1].lastSequenceBefore : .max
        guard (epochs[index].lastSequenceBefore...end).contains(position.sequence) else {
            throw diverged(position, "its epoch ended at \(end) here")
        }
    }

    private static func diverged(_ position: Position, _ reason: String) -> EngineError {
        EngineError(
            .diverged,
            "reading changes: the position \(position.sequence) is of another history, \(reason)",
            sequence: position.sequence
        )
    }

    /// Refuses a position whose record is not here, or has another log hash.
    private func check(_ hash: UInt64) throws(EngineError) {
        let oldest = source.catalog.oldest
        let found: UInt64?
        if oldest.lastSequence == position.sequence {
            // The hash of a file without a record may be that of an epoch's beginning.
            let next = source.epochs.first { $0.lastSequenceBefore == position.sequence }
            found = next?.logHashBefore ?? oldest.logHash
        } else if let chunk = source.tail?.chunk(after: position.sequence - 1) {
            let place = chunk.place(after: position.sequence)
            found = place.sequence == position.sequence ? place.hash : nil
        } else {
            try source.waitForFeed(after: position.sequence - 1, .wal, isStream: false)
            found = try LogFeedReader(source, after: position.sequence - 1).next()?.entries.first
                .flatMap { $0.head.sequence == position.sequence ? $0.hash : nil }
        }
        guard found == hash else {
            let what = found.map { "the record there has log hash \(hexadecimal($0))" }
            throw Self.diverged(position, what ?? "there is no such record")
        }
    }

    // MARK: - Moving

    /// Whether it has a file open.
    var hasFile: Bool { files != nil }

    /// The records that come next. Files are read only when that is allowed.
    ///
    /// - Throws: ``EngineError`` with code `trimmed` when the log was cut back meanwhile, or
    ///   `corruption` or `io`.
    func next(readsFiles: Bool) throws(EngineError) -> FeedStep {
        let limit = source.feedLimit(horizon)
        guard limit > position.sequence else { return .wait(horizon) }
        if let batch = nextPending(through: limit) ?? nextLive(through: limit) {
            return .batch(batch)
        }
        guard readsFiles else { return .needsFile }
        // What is readable and in no file yet is about to be appended; perhaps to the first file.
        guard source.feedLimit(.wal) > position.sequence else { return .wait(max(horizon, .wal)) }
        if files == nil {
            files = try LogFeedReader(source, after: position.sequence)
            source.tail?.noteMiss()
        }
        guard let batch = try files?.next() else { return .wait(max(horizon, .wal)) }
        pending = batch
        return nextPending(through: limit).map(FeedStep.batch) ?? .wait(horizon)
    }

    /// Waits until there may be something; blocks.
    func wait(for point: AckPoint) throws(EngineError) {
        let isStream = countSinceWait >= Self.streamCount
        countSinceWait = 0
        try source.waitForFeed(after: position.sequence, point, isStream: isStream)
    }

    /// Waits until there may be something, or the task is cancelled.
    func wait(for point: AckPoint) async throws {
        try await source.waitForFeed(after: position.sequence, point)
    }

    private func nextPending(through limit: UInt64) -> RecordBatch? {
        guard let all = pending else { return nil }
        let batch = all.prefix(through: limit)
        guard !batch.isEmpty else { return nil }
        let rest = all.dropFirst(batch.count)
        pending = rest.isEmpty ? nil : rest
        moved(past: batch)
        return batch
    }

    private func nextLive(through limit: UInt64) -> RecordBatch? {
        guard pending == nil else { return nil }
        let hasMore = chunk.map { $0.0.lastSequence > position.sequence } ?? false
        if !hasMore, let found = source.tail?.chunk(after: position.sequence),
            found !== chunk?.0
        {
            chunk = (found, found.place(after: position.sequence))
            files = nil
        }
        guard case (let current, var place)? = chunk else { return nil }
        let batch = current.records(from: &place, through: limit, sizeMax: Self.batchSize)
        chunk = (current, place)
        guard !batch.isEmpty else { return nil }
        moved(past: batch)
        return batch
    }

    private func moved(past batch: RecordBatch) {
        position = batch.end
        countSinceWait += batch.count
    }
}
