// A checkpoint: a directory that is a store of its own, with all that was written before.
//
// (1) Segments never change, so a checkpoint on the same file system has further names of them
//     (hard links): it takes no space until a compaction of the store gives them up. Elsewhere they
//     are copied, and checked on the way.
// (2) Log files are copied, up to what was synced: those that recovery needs, which are few. They
//     share nothing with the store's, whose ends are trimmed, and may be cut back.
// (3) The manifest is written anew, of one state of the store's; then STORE, with a new member id.
// (4) All this happens in a directory of another name, which is renamed at the end: a crash leaves
//     a whole checkpoint or none.
// (5) Meanwhile the store removes no file. It goes on otherwise.

/// What a checkpoint took.
public struct CheckpointReport: Sendable, Hashable {
    /// Names the new directory.
    public let memberID: UniqueID
    /// The last write in the checkpoint.
    public let lastSequence: UInt64
    /// How many segments it shares with the store, and their bytes.
    public internal(set) var linkedSegments = 0, linkedBytes: UInt64 = 0
    /// How many segments had to be copied, and their bytes: on another file system.
    public internal(set) var copiedSegments = 0, copiedBytes: UInt64 = 0
    /// How many log files were copied, and their bytes.
    public internal(set) var logFiles = 0, logBytes: UInt64 = 0

    init(memberID: UniqueID, lastSequence: UInt64) {
        self.memberID = memberID
        self.lastSequence = lastSequence
    }
}

/// Makes checkpoints of an image of a store.
struct Checkpoint: Sendable {
    let image: StoreImage
    /// Names the new directory.
    let memberID: UniqueID

    /// Makes the directory, durable when this returns.
    ///
    /// - Throws: ``EngineError``; there is no checkpoint then, unless it is the last sync of the
    ///   parent that failed.
    func make(at path: String) throws(EngineError) -> CheckpointReport {
        let staged = try StagedDirectory(path: path, in: image.directory.fileSystem)
        let report: CheckpointReport
        do throws(EngineError) {
            report = try fill(staged.directory)
        } catch {
            staged.discard()
            throw error
        }
        try staged.commit()
        return report
    }

    private func fill(_ target: StoreDirectory) throws(EngineError) -> CheckpointReport {
        let log = image.log
        var report = CheckpointReport(memberID: memberID, lastSequence: log.end.lastSequence)
        for info in image.segments {
            let name = FileName.segment(info.number)
            if try target.link(name, of: image.directory) {
                report.linkedSegments += 1
                report.linkedBytes += info.size
            } else {
                let file = try image.directory.open(name, for: .read)
                try info.copy(file, historyID: image.historyID, to: target, as: name)
                report.copiedSegments += 1
                report.copiedBytes += info.size
            }
        }
        for part in log.parts {
            let name = FileName.log(part.number)
            let file = try image.directory.open(name, for: .read)
            _ = try target.copy(file, length: part.length, hashing: 0, as: name)
            report.logFiles += 1
            report.logBytes += part.length
        }
        // Every name is durable before the mark says that this is a store.
        try target.syncEntries()
        let store = StoreAssembly(
            historyID: image.historyID,
            memberID: memberID,
            state: image.state,
            end: log.end,
            lastStamp: log.lastStamp
        )
        try store.finish(in: target)
        return report
    }
}
