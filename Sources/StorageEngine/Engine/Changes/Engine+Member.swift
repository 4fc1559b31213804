internal import Synchronization

/// What the host of a replication member asks of its store (``Options/isMember``).
extension Engine {
    // MARK: - The history

    /// The epochs that have records, and where the history ends. Waits for a write that is being
    /// committed.
    ///
    /// - Throws: ``EngineError`` with code `readOnly`, `poisoned` or `closed`.
    package func history() throws(EngineError) -> (epochs: [EpochEntry], end: Position) {
        try writable().history()
    }

    /// How far the log has come, as sequences.
    package struct LogPoints: Hashable, Sendable {
        package let readable, appended, synced: UInt64
        /// Bytes of records that were appended since the store was opened.
        package let bytes: UInt64
    }

    /// How far the log has come; `nil` for a store that is read-only.
    package var logPoints: LogPoints? {
        guard let pipeline else { return nil }
        // The least first, so that none is ahead of those before it.
        let synced = pipeline.feedLimit(.disk)
        let appended = pipeline.feedLimit(.wal)
        return LogPoints(
            readable: pipeline.feedLimit(.memory),
            appended: appended,
            synced: synced,
            bytes: pipeline.metrics.rawBytes.load(ordering: .relaxed)
        )
    }

    /// Why the log takes nothing any more; `nil` while it does.
    package var logFailure: EngineError? { pipeline?.failure }

    /// Waits until a record has reached a point; syncs for that when nobody else does. Blocks.
    ///
    /// - Throws: ``EngineError`` with code `indeterminate`, `noSpace` or `closed`.
    package func wait(for sequence: UInt64, _ point: AckPoint) throws(EngineError) {
        try writable().wait(for: sequence, point)
    }

    /// The records behind a position, to be shipped; `nil` as long as the record there is in memory
    /// only, where it cannot be compared.
    ///
    /// - Throws: As ``changes(after:upTo:filter:)``.
    package func recordCursor(after position: Position) throws(EngineError) -> RecordCursor? {
        let source = try writable()
        let sequence = position.sequence
        let isInMemory = sequence > source.feedLimit(.wal) && sequence <= source.feedLimit(.memory)
        if isInMemory, source.tail?.chunk(after: sequence - 1) == nil { return nil }
        return RecordCursor(try FeedCursor.open(source, after: position, horizon: .memory))
    }

    // MARK: - Following and leading

    /// Takes in a leader's records, which are in the log then, and readable.
    ///
    /// - Throws: As ``apply(_:ack:)-(ChangeBatch,_)``; `invalidArgument` when the store leads.
    package func apply(_ records: RecordBatch) throws(EngineError) {
        let pipeline = try writable()
        guard pipeline.lock.with({ pipeline.state.isFollowing }) else {
            throw .invalidArgument("a store that leads takes no records of others")
        }
        _ = try pipeline.apply(records, ack: .wal)
    }

    /// Takes in a leader's records if that can be done at once: for threads that must not wait.
    ///
    /// - Returns: Whether they are in the log, and readable; if not, nothing was done, and
    ///   ``apply(_:)`` does it or says why not.
    /// - Throws: As ``apply(_:)``.
    package func applyAtOnce(_ records: RecordBatch) throws(EngineError) -> Bool {
        try writable().applyAtOnce(records)
    }

    /// Accepts writes from now on, in an epoch that begins with the first of them.
    ///
    /// - Throws: ``EngineError`` with code `noSpace`, `io`, `indeterminate`, `poisoned` or
    ///   `closed`.
    package func lead(_ epoch: Epoch) throws(EngineError) { try writable().lead(epoch) }

    /// Refuses writes from now on; those inside have ended when this returns.
    ///
    /// - Throws: ``EngineError``; writes are refused all the same.
    package func stopLeading() throws(EngineError) { try writable().stopLeading() }

    /// Commits writes, each of them all or nothing, in as few steps as may be; suspends meanwhile.
    /// What came of each it says itself. They are sequenced in order, but for those that need no
    /// append, which do not wait for the others.
    ///
    /// - Parameter writes: Each is committed once.
    /// - Throws: ``EngineError`` with code `closed` or `readOnly`; nothing was written then.
    package func commit(_ writes: [GatheredWrite]) async throws(EngineError) {
        await (try writable()).commitGathered(writes)
    }

    /// Makes a record without operations, so that the epoch begins.
    ///
    /// - Throws: As ``write(_:ack:)-(borrowing WriteBatch,_)``.
    package func writeNoOp(ack: AckPoint) throws(EngineError) -> WriteReceipt {
        try writable().writeNoOp(ack: ack)
    }

    /// The history of a store that no engine has open, which stays as it is: what ``history()`` of
    /// an engine would say.
    ///
    /// - Parameters:
    ///   - path: The store's directory.
    ///   - options: How it would be opened.
    ///   - environment: Files, and time.
    /// - Returns: The epochs that have records, and where the history ends.
    /// - Throws: ``EngineError`` with code `notAStore`, `locked`, `wrongStore`, `corruption`,
    ///   `logGap`, `unsupportedFormat` or `io`.
    package static func history(
        at path: String,
        options: Options,
        environment: Environment
    ) throws(EngineError) -> (epochs: [EpochEntry], end: Position) {
        var options = options
        options.readOnly = true
        let store = try OpenedStore(path: path, options: options, environment: environment)
        defer { do throws(EngineError) { try store.lock.release() } catch {} }
        let tree = try OpenedTree(
            directory: store.directory,
            mark: store.markFile.mark,
            cache: BlockCache(budget: 0)
        )
        var recovery = LogRecovery(
            directory: store.directory,
            markFile: store.markFile,
            start: tree.logStart
        )
        let recovered = try recovery.run(repair: false) { _, _ in }
        let sequencer = Sequencer(recovered: recovered, originates: false)
        return (sequencer.epochsWithRecords, sequencer.position)
    }

    // MARK: - Copies

    /// Makes a checkpoint, and says which history it holds.
    ///
    /// - Throws: As ``checkpoint(at:)``.
    package func copy(to path: String) throws(EngineError) -> (
        epochs: [EpochEntry], end: Position
    ) {
        try withImage { image, environment throws(EngineError) in
            let end = image.log.end
            let epochs = try writable().epochs.filter { $0.lastSequenceBefore < end.lastSequence }
            _ = try Checkpoint(image: image, memberID: environment.uniqueID()).make(at: path)
            let position = Position(
                epoch: epochs.last?.epoch ?? .none,
                sequence: end.lastSequence,
                logHash: end.logHash
            )
            return (epochs, position)
        }
    }

    /// Brings everything to disk and closes the files as they are: what is in memory alone is not
    /// flushed to segments, where it could not be taken out of the history again.
    ///
    /// - Throws: ``EngineError`` when not all could be brought to disk; the engine is closed all
    ///   the same.
    package func closeWithoutFlush() throws(EngineError) {
        defer { abandon() }
        try sync()
    }
}
