/// Where a feed reads from: a log with its catalog, the newest records in memory, and how far the
/// log has come.
///
/// Thread safety: every method may be called from any thread.
protocol FeedSource: AnyObject, Sendable {
    var directory: StoreDirectory { get }
    var catalog: LogCatalog { get }
    /// The newest records; `nil` when all are read from files.
    var tail: FeedTail? { get }
    /// The epoch table.
    var epochs: [EpochEntry] { get }

    /// The last sequence that has reached a point.
    func feedLimit(_ horizon: AckPoint) -> UInt64
    /// How long the log file that is appended to is; `nil` when there is none.
    var appendedEnd: LogLength? { get }
    /// Waits until something behind a sequence has reached a point; blocks. In a stream one write
    /// follows the other, so that it pays to look again in a moment.
    func waitForFeed(
        after sequence: UInt64,
        _ horizon: AckPoint,
        isStream: Bool
    ) throws(EngineError)
    /// Waits until something behind a sequence has reached a point, or the task is cancelled.
    func waitForFeed(after sequence: UInt64, _ horizon: AckPoint) async throws
}
