/// A backup in a directory of backups.
public struct BackupInfo: Sendable, Hashable {
    /// Counts the backups of the directory, from 1.
    public let number: UInt64
    /// Names the history of writes.
    public let historyID: UniqueID
    /// Names the directory that was backed up.
    public let memberID: UniqueID
    /// When the backup was made, in milliseconds since 1970.
    public let time: UInt64
    /// The last write in it, and its epoch.
    public let position: Position
    /// How many segments and log files belong to it, and the bytes of all of them.
    public let segments, logFiles: Int, bytes: UInt64

    init(_ list: BackupList) {
        number = list.number
        historyID = list.historyID
        memberID = list.memberID
        time = list.time
        position = Position(
            epoch: list.epoch,
            sequence: list.end.lastSequence,
            logHash: list.end.logHash
        )
        segments = list.segments.count
        logFiles = list.logs.count
        bytes = list.files.reduce(0) { $0 + $1.size }
    }
}

/// What making a backup took.
public struct BackupReport: Sendable, Hashable {
    /// The new backup.
    public let backup: BackupInfo
    /// How many files were copied, and their bytes.
    public internal(set) var copiedFiles = 0, copiedBytes: UInt64 = 0
    /// How many files an earlier backup had brought, and their bytes.
    public internal(set) var sharedFiles = 0, sharedBytes: UInt64 = 0
    /// How many old backups were removed.
    public internal(set) var removedBackups = 0
}

/// What a verification of backups read.
public struct BackupVerification: Sendable, Hashable {
    /// How many backups have a list that can be read.
    public internal(set) var backups = 0
    /// How many files belong to them, each counted once, and the bytes of those that are good.
    public internal(set) var files = 0, bytes: UInt64 = 0
    /// What is wrong: a file, an offset, and why. Empty when every backup can be restored.
    public internal(set) var damages: [EngineError] = []
}
