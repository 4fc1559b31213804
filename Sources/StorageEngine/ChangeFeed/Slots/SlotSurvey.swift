/// How far the consumers behind slots are, by the log that there is.
struct SlotSurvey {
    private let files: [LogCatalog.File]
    /// The last sequence before the log, and of the history.
    private let oldest, end: UInt64
    /// The last log file that recovery does not need.
    private let obsolete: UInt64
    /// How long the file is that is appended to; `nil` when there is none.
    private let appended: LogLength?
    /// In milliseconds since 1970.
    private let now: UInt64

    init(
        _ catalog: LogCatalog,
        end: UInt64,
        obsolete: UInt64,
        appended: LogLength?,
        now: UInt64
    ) {
        // The start first: a file that goes in between makes nothing look lost that is not.
        oldest = catalog.oldest.lastSequence
        files = catalog.files
        self.end = end
        self.obsolete = obsolete
        self.appended = appended
        self.now = now
    }

    /// Slots with their lags, sorted by name.
    func measured(_ slots: [Slot]) -> [Slot] {
        slots.sorted { $0.name < $1.name }.map(measured)
    }

    private func measured(_ slot: Slot) -> Slot {
        var slot = slot
        let sequence = slot.position.sequence
        slot.isLost = sequence < oldest
        guard sequence < end else { return slot }
        slot.lagSequences = end - sequence
        let waiting = files.filter { ($0.end?.lastSequence ?? .max) > sequence }
        let passed = waiting.first?.restarts?.start(after: sequence)?.offset ?? 0
        let length = size(of: waiting)
        slot.lagBytes = length - min(passed, length)
        slot.retainedBytes = size(of: waiting.filter { $0.number <= obsolete })
        // Nothing says when the first file of all was begun.
        let begun = (waiting.first?.header.baseStamp ?? 0) >> 16
        let time = begun > 0 ? begun : slot.acknowledgementTime
        slot.lagTime = now > time ? now - time : 0
        return slot
    }

    /// Bytes of log files that are kept, and not for recovery.
    var retainedBytes: UInt64 { size(of: files.filter { $0.number <= obsolete }) }

    private func size(of files: [LogCatalog.File]) -> UInt64 {
        files.reduce(0) { $0 + size(of: $1) }
    }

    private func size(of file: LogCatalog.File) -> UInt64 {
        if let end = file.end { return end.length }
        return appended?.fileNumber == file.number ? appended?.length ?? 0 : 0
    }
}
