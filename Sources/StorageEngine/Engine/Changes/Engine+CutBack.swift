extension Engine {
    /// What cutting a history back took out.
    public struct CutReport: Sendable, Hashable {
        /// Where the history ends now.
        public let position: Position
        /// The last sequence that was taken out; that of the position when nothing was.
        public let lastCutSequence: UInt64
    }

    /// Takes the writes behind a position out of a store that no engine has open, so that it can
    /// follow a leader whose history went another way from there.
    ///
    /// What was taken out is copied to `quarantine/` in the store's directory, log file by log
    /// file. After a crash it is all there still, or the next open finishes the cut.
    ///
    /// - Parameters:
    ///   - path: The store's directory.
    ///   - position: The last write to stay: the last one that both histories have, see
    ///     ``HistoryLine/lastCommonPosition(with:)``.
    ///   - options: How to open it.
    /// - Returns: What was taken out.
    /// - Throws: ``EngineError`` with code `copyNeeded` when segments hold writes behind the
    ///   position already, or nothing is to stay; `diverged` when there is no such write here;
    ///   `trimmed` when the log does not go back that far; `locked`, `notAStore`, `corruption`,
    ///   `logGap`, `noSpace` or `io`.
    public static func cutBack(
        at path: String,
        to position: Position,
        options: Options = Options()
    ) throws(EngineError) -> CutReport {
        try cutBack(at: path, to: position, options: options, environment: .system())
    }

    package static func cutBack(
        at path: String,
        to position: Position,
        options: Options,
        environment: Environment
    ) throws(EngineError) -> CutReport {
        var options = options
        options.createIfMissing = false
        let store = try OpenedStore(path: path, options: options, environment: environment)
        defer { do throws(EngineError) { try store.lock.release() } catch {} }
        let mark = store.markFile.mark
        let tree = try OpenedTree(
            directory: store.directory,
            mark: mark,
            cache: BlockCache(budget: 0)
        )
        var recovery = LogRecovery(
            directory: store.directory,
            markFile: store.markFile,
            start: tree.logStart
        )
        let recovered = try recovery.run(repair: true) { _, _ in }
        let last = recovered.end.lastSequence
        guard position.sequence < last else {
            let end = Position(
                epoch: recovered.epochs.last?.epoch ?? .none,
                sequence: last,
                logHash: recovered.end.logHash
            )
            return CutReport(position: end, lastCutSequence: last)
        }
        guard position.sequence > 0, tree.state.flushed.sequence <= position.sequence else {
            throw EngineError(
                .copyNeeded,
                "cutting back to \(position.sequence): segments hold what was written up to "
                    + "\(tree.state.flushed.sequence)",
                sequence: tree.state.flushed.sequence
            )
        }
        let catalog = try LogCatalog(
            store.directory,
            historyID: mark.historyID,
            recovered: recovered
        )
        guard let file = catalog.file(after: position.sequence - 1) else {
            let oldest = catalog.oldest.lastSequence
            throw EngineError(
                .trimmed,
                "cutting back to \(position.sequence): the log begins at \(oldest)",
                sequence: oldest
            )
        }
        let cut = LogCut(directory: store.directory, markFile: store.markFile)
        let end = try cut.run(file, through: position.sequence, logHash: position.logHash)
        return CutReport(
            position: Position(
                epoch: file.header.epoch,
                sequence: end.lastSequence,
                logHash: end.logHash
            ),
            lastCutSequence: last
        )
    }

    /// The epochs of the history, and where it ends.
    public var historyLine: HistoryLine {
        // In this order: an epoch is noted before its first record can be read.
        let last = lastSequence
        return HistoryLine(epochs: pipeline?.epochs ?? [], lastSequence: last)
    }
}

/// Which epochs a history consists of, and where it ends: enough to find where two histories of
/// one origin part.
public struct HistoryLine: Sendable, Hashable {
    /// Where each epoch began, the newest last. The newest may have no record yet.
    public let epochs: [EpochEntry]
    /// The last sequence.
    public let lastSequence: UInt64

    /// A history that is known from elsewhere, say of a leader in another process.
    public init(epochs: [EpochEntry], lastSequence: UInt64) {
        self.epochs = epochs
        self.lastSequence = lastSequence
    }

    /// The last sequence that both histories may have; `nil` when they have no epoch in common.
    ///
    /// It is where the older of two different epochs began, or the lesser end of the last one that
    /// both have: what was written in one epoch was written by one leader. (Kafka's KIP-101
    /// truncates by the same rule.)
    public func lastCommonPosition(with other: HistoryLine) -> Position? {
        let common = epochs.last { entry in other.epochs.contains { $0.epoch == entry.epoch } }
        guard let common else { return nil }
        return Position(
            epoch: common.epoch,
            sequence: min(end(of: common.epoch), other.end(of: common.epoch))
        )
    }

    private func end(of epoch: Epoch) -> UInt64 {
        epochs.first { $0.epoch.number > epoch.number }?.lastSequenceBefore ?? lastSequence
    }
}
