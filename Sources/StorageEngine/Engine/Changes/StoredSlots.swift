/// The slots of a store that nobody writes to.
struct StoredSlots: Sendable {
    let slots: [Slot]
    private let catalog: LogCatalog
    private let obsoleteLog: UInt64
    private let time: any TimeSource

    /// Reads SLOTS, and which log files there are.
    init(
        _ store: OpenedStore,
        recovered: RecoveredLog,
        obsoleteLog: UInt64,
        environment: Environment
    ) throws(EngineError) {
        let historyID = store.markFile.mark.historyID
        slots = try SlotFormat.read(store.directory, historyID: historyID)
        catalog = try LogCatalog(store.directory, historyID: historyID, recovered: recovered)
        self.obsoleteLog = obsoleteLog
        time = environment.time
    }

    func survey(end: UInt64) -> SlotSurvey {
        SlotSurvey(
            catalog,
            end: end,
            obsolete: obsoleteLog,
            appended: nil,
            now: time.wallMilliseconds
        )
    }
}
