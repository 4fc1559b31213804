internal import Logging

/// A store of keys and values in one directory, opened by one engine at a time.
///
/// Keys and values are any bytes, keys are ordered as unsigned bytes. Every write says when it
/// counts as done, see ``AckPoint``. In async code the suspending forms of calls are chosen; they
/// never block a thread of the cooperative pool on a lock that is held for long, or on a sync.
///
/// Close an engine with ``close()``: dropping it closes its files as they are, which takes from
/// `.memory` writes what the death of the process would.
///
/// Thread safety: every method may be called from any thread or task.
public final class Engine: Sendable {
    /// The store's directory, as it was given.
    public let path: String
    /// The options the engine was opened with.
    public let options: Options
    /// Names the history of writes, on every replica of the data.
    public let historyID: UniqueID
    /// Names this directory.
    public let memberID: UniqueID
    /// What opening read from the log, and repaired.
    public let recovery: RecoveryReport

    let readState: ReadState
    /// `nil` when the engine is read-only.
    let pipeline: CommitPipeline?
    /// `nil` when the engine is not read-only.
    let storedSlots: StoredSlots?
    /// For what may block in async code.
    let readThreads = ThreadPool(name: "engine-read", countMax: 4)
    private let directory: StoreDirectory
    /// The last log file that was not needed when the engine was opened.
    private let obsoleteLog: UInt64
    /// Up to where segments held everything then.
    private let flushedSequence: UInt64
    private let cache: BlockCache
    private let environment: Environment
    private let lifetime: EngineLifetime

    /// Opens a store, and makes it when there is none.
    ///
    /// - Parameters:
    ///   - path: The directory; when it is made, its parent must exist.
    ///   - options: How to open it.
    /// - Returns: The engine, with everything that was acknowledged and survived.
    /// - Throws: ``EngineError`` with code `locked`, `notAStore`, `corruption`, `logGap`,
    ///   `unsupportedFormat`, `invalidArgument`, `io` or `noSpace`. Nothing was changed then,
    ///   except by a repair of the log's end that had already begun and is repeated at the next
    ///   open.
    public static func open(
        at path: String,
        options: Options = Options()
    ) throws(EngineError) -> Engine {
        try Engine(path: path, options: options, environment: .system())
    }

    /// Opens a store with files, time, randomness and threads from elsewhere.
    package static func open(
        at path: String,
        options: Options,
        environment: Environment
    ) throws(EngineError) -> Engine {
        try Engine(path: path, options: options, environment: environment)
    }

    private init(
        path: String,
        options: Options,
        environment: Environment
    ) throws(EngineError) {
        try options.check()
        let store = try OpenedStore(path: path, options: options, environment: environment)
        self.path = path
        self.options = options
        self.environment = environment
        directory = store.directory
        let mark = store.markFile.mark
        historyID = mark.historyID
        memberID = mark.memberID
        let cache = BlockCache(budget: options.cacheSize)
        var tree = try OpenedTree(directory: store.directory, mark: mark, cache: cache)
        obsoleteLog = tree.state.logStart.fileNumber
        flushedSequence = tree.state.flushed.sequence
        self.cache = cache
        var recovery = LogRecovery(
            directory: store.directory,
            markFile: store.markFile,
            start: tree.logStart
        )
        let readState = ReadState(
            lastSequence: tree.state.flushed.sequence,
            version: tree.version,
            now: { environment.time.monotonicNanoseconds }
        )
        let recovered = try recovery.run(repair: !options.readOnly) {
            head,
            operations throws(EngineError) in
            try readState.replay(head, operations)
        }
        tree.keepEpochs(of: recovered.epochs)
        self.readState = readState
        self.recovery = recovered.report
        storedSlots =
            options.readOnly
            ? try StoredSlots(
                store,
                recovered: recovered,
                obsoleteLog: obsoleteLog,
                environment: environment
            ) : nil
        pipeline =
            options.readOnly
            ? nil
            : try CommitPipeline(
                store,
                tree: tree,
                recovered: recovered,
                reading: (readState, cache),
                options: options,
                environment: environment
            )
        lifetime = EngineLifetime(
            store: store,
            pipeline: pipeline,
            startsThreads: environment.startsThreads,
            compactionThreads: options.compactionThreads
        )
        Self.report(recovered.report, options.logger)
    }

    deinit { lifetime.abandon() }

    private static func report(_ report: RecoveryReport, _ logger: Logger) {
        guard report.tornBytes > 0 || report.rewrittenRecords > 0 else { return }
        logger.info(
            "the log ended without a clean close",
            metadata: [
                "tornBytes": "\(report.tornBytes)",
                "rewrittenRecords": "\(report.rewrittenRecords)",
            ]
        )
    }

    // MARK: - End

    /// Ends the writes inside, writes and syncs everything, and closes the files.
    ///
    /// Afterwards every call throws `closed`; cursors and borrowed values that are in use stay
    /// valid. A second call does nothing. Blocks until the last write has ended.
    ///
    /// - Throws: ``EngineError`` when the last writes could not be brought to disk, `poisoned` when
    ///   an earlier one could not; the engine is closed all the same.
    public func close() throws(EngineError) { try lifetime.close() }

    /// Ends the writes inside, writes and syncs everything, and closes the files; suspends
    /// meanwhile.
    ///
    /// - Throws: As the blocking form.
    public func close() async throws(EngineError) {
        let lifetime = lifetime
        try await readThreads.run { () throws(EngineError) in try lifetime.close() }
    }

    /// Throws when the engine is closed, or was opened by the process that forked this one.
    func checkOpen() throws(EngineError) {
        if let refusal = lifetime.refusal { throw refusal }
    }

    /// Closes the files as they are; for a store whose log has failed, or that was synced.
    package func abandon() { lifetime.abandon() }

    // MARK: - Inspection

    /// Where the history ends: the position of the last write that is readable.
    public var lastSequence: UInt64 { readState.visibleSequence }

    /// Reads every log file that recovery needs and every segment again and checks all that can be
    /// checked, beside running writes: checksums, the order of records and of keys, bounds of
    /// sequences, filters, and the manifest's word against the files. Log files that are kept for
    /// consumers alone are checked when they are read.
    ///
    /// - Returns: What was read.
    /// - Throws: ``EngineError`` with code `corruption`, `logGap` or `io`; `closed`.
    public func verify() throws(EngineError) -> VerificationReport {
        try checkOpen()
        guard let pipeline else {
            return try verify(readState.view.version, obsoleteLog: obsoleteLog)
        }
        return try pipeline.maintenance.keepingFiles { version, obsoleteLog throws(EngineError) in
            try verify(version, obsoleteLog: obsoleteLog)
        }
    }

    /// Reads every log file again and checks it; segments are left out.
    package func verifyLog() throws(EngineError) -> VerificationReport {
        try checkOpen()
        guard let pipeline else { return try verify(.empty, obsoleteLog: obsoleteLog) }
        return try pipeline.maintenance.keepingFiles { _, obsoleteLog throws(EngineError) in
            try verify(.empty, obsoleteLog: obsoleteLog)
        }
    }

    private func verify(
        _ version: Version,
        obsoleteLog: UInt64
    ) throws(EngineError) -> VerificationReport {
        let log = LogVerification(directory: directory, historyID: historyID)
        var report = try log.run(liveEnd: pipeline?.appendedEnd, behind: obsoleteLog)
        for segment in version.segments {
            let info = try segment.verify()
            report.segments += 1
            report.segmentEntries += info.entryCount
            report.segmentBytes += info.size
        }
        return report
    }

    /// Counts and gauges.
    public var metrics: Metrics {
        var metrics = pipeline?.currentMetrics ?? Metrics(lastSequence: readState.visibleSequence)
        let view = readState.view
        for index in view.indexes {
            metrics.indexBytes += index.byteCount
            metrics.indexKeys += index.keyCount
            metrics.indexVersions += index.versionCount
        }
        metrics.snapshots = readState.snapshots.count
        metrics.note(view.version, cache.counts)
        if let maintenance = pipeline?.maintenance {
            metrics.note(maintenance.lock.with { maintenance.state.counts })
        }
        let (slots, survey) = surveyedSlots
        metrics.note(slots, survey)
        return metrics
    }

    /// How much of the disk the store takes, what of it is needed no more, and who keeps that.
    ///
    /// - Throws: ``EngineError`` with code `io` or `closed`.
    public func space() throws(EngineError) -> SpaceReport {
        try checkOpen()
        let files = try SpaceReport.Files(directory)
        return SpaceReport(
            files,
            readState.view.version,
            SpaceReport.History(
                flushedSequence: pipeline?.maintenance.flushedSequence ?? flushedSequence,
                lastSequence: lastSequence,
                logEnd: pipeline?.appendedEnd
            ),
            SpaceReport.Pins(readState, now: environment.time.monotonicNanoseconds)
        )
    }
}

extension ReadState {
    /// Puts a record that was read from the log in, and makes it readable.
    func replay(
        _ head: RecordHead,
        _ operations: UnsafeRawBufferPointer
    ) throws(EngineError) {
        let retention = MemoryIndex.Retention(visible: visibleSequence, registered: [])
        do throws(DecodingFailure) {
            try active.insert(operations, sequence: head.sequence, retention: retention)
        } catch {
            let message = "replaying the record at sequence \(head.sequence): \(error.reason)"
            switch error {
            case .malformed: throw EngineError(.corruption, message)
            case .unsupported: throw EngineError(.unsupportedFormat, message)
            }
        }
        publish(head.sequence)
    }
}
