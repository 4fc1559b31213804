/// When a write counts as done. Reached for one write, a point is reached for all before it.
public enum AckPoint: UInt8, Sendable, Hashable, Comparable, CaseIterable {
    /// Sequenced, readable and queued for the log. Survives a clean close. When the process dies,
    /// at most the memory window is lost (``Engine/Options/memoryWindow``), always a suffix.
    case memory
    /// Accepted whole by the kernel. Survives the death of the process; a power loss may take the
    /// suffix that ``Engine/Options/syncInterval`` bounds.
    case wal
    /// Synced to the disk, with every directory entry that is needed to find it. Survives power
    /// loss.
    case disk

    /// Orders the points by what they survive.
    public static func < (left: AckPoint, right: AckPoint) -> Bool {
        left.rawValue < right.rawValue
    }
}
