/// Something that happened in an engine, for operators and their tools.
@nonexhaustive
public enum Event: Sendable, Hashable {
    /// An index became a segment of level 0 of so many bytes; segments hold everything up to the
    /// sequence now.
    case flushed(bytes: UInt64, sequence: UInt64)
    /// Segments of a level were merged into the next; bytes read and written.
    case compacted(level: Int, readBytes: UInt64, writtenBytes: UInt64)
    /// Writers are slowed or held from now on, and why.
    case stallBegan(StallReason)
    /// Writers are neither slowed nor held any more.
    case stallEnded
    /// A sync of the log took this long, in nanoseconds.
    case slowSync(nanoseconds: UInt64)
    /// A sync of the log has been running this long, in nanoseconds, and has not come back.
    case syncHangs(nanoseconds: UInt64)
    /// Less is free on the file system than must be: writes are refused from now on.
    case lowSpace(freeBytes: UInt64)
    /// Enough is free again: writes are accepted from now on.
    case lowSpaceEnded(freeBytes: UInt64)
    /// The disk is full: a flush, a compaction or a change of the manifest was put off.
    case noSpace(EngineError)
    /// Bytes on disk are not what was written; found by a flush, a compaction or the manifest.
    case corruption(EngineError)
    /// A flush, a compaction or a change of the manifest failed otherwise, and is tried again.
    case maintenanceFailed(EngineError)
    /// The log failed; writes are refused until the store is reopened.
    case poisoned(EngineError)
    /// The log was cut back behind what a slot had acknowledged: its consumer has missed writes.
    case slotLost(name: String, position: Position)
    /// The first write since the store was opened began an epoch.
    case epochBegan(Epoch)
}

/// Why writers are slowed or held.
@nonexhaustive
public enum StallReason: String, Sendable, Hashable, CaseIterable {
    /// The memory index fills faster than it is flushed.
    case flush
    /// Level 0 gets segments faster than they are compacted.
    case level0
    /// Levels hold more than they should, and compactions are behind.
    case compaction
    /// Little space is left on the file system.
    case space
}
