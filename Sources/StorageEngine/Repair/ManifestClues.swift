/// What a manifest that is damaged still says. Whatever it says was true at some time.
struct ManifestClues: Sendable {
    /// The newest mark of what is flushed.
    var flushed = FlushMark.start
    var logStart = LogEnd.start
    var epochs: [EpochEntry] = []
    var deltaHorizon: UInt64 = 0
    var nextSegmentNumber: UInt64 = 1
    /// Segments that were live once and are not any more.
    var dead: Set<UInt64> = []

    mutating func note(_ edit: VersionEdit) {
        if let mark = edit.flushed, mark.sequence >= flushed.sequence { flushed = mark }
        if let end = edit.logStart, end.fileNumber >= logStart.fileNumber { logStart = end }
        deltaHorizon = max(deltaHorizon, edit.deltaHorizon ?? 0)
        nextSegmentNumber = max(nextSegmentNumber, edit.nextSegmentNumber ?? 1)
        epochs = epochs.continued(with: edit.epochs)
        for place in edit.removed { dead.insert(place.number) }
        for segment in edit.added { dead.remove(segment.info.number) }
    }
}
