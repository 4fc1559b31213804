/// A walk over the frames of one log file, across what cannot be read.
///
/// Thread safety: none.
struct LogWalk: ~Copyable {
    private let file: StoreFile
    private let header: LogFileHeader
    private let limit: UInt64
    /// Whether something says how long the file is: it must be good up to there.
    private let isFinished: Bool
    private var input: FileInput
    private(set) var reader: LogReader
    /// Where the reader began; `nil` for the first frame.
    private var start: UInt64?
    /// Where frames were read a second time.
    private var lastRetry: UInt64 = 0

    init(file: StoreFile, header: LogFileHeader, limit: UInt64, isFinished: Bool) {
        self.file = file
        self.header = header
        self.limit = limit
        self.isFinished = isFinished
        input = FileInput(file: file, limit: limit)
        reader = LogReader(file: file, frames: header.frames, limit: limit)
    }

    /// Reads the next frame, or goes on behind what is none; `false` at the end.
    mutating func next(
        _ inspection: inout LogInspection,
        _ handle: LogInspector.Handler
    ) throws -> Bool {
        let place = LogPlace(file: file.name, offset: reader.offset)
        var records: [(head: RecordHead, operations: [UInt8])] = []
        let isGood: Bool
        do throws(EngineError) {
            isGood = try reader.next { head, operations throws(EngineError) in
                records.append((head, Array(operations)))
            }
        } catch {
            guard !error.isOfSystem else { throw error }
            inspection.isDamaged = true
            try handle(place, .error(error))
            return try jump(&inspection, handle)
        }
        guard isGood else { return try jump(&inspection, handle) }
        inspection.frames += 1
        inspection.records += records.count
        if let frame = reader.frame { try handle(place, .frame(frame)) }
        for record in records {
            try handle(place, .record(record.head, operations: record.operations))
        }
        return true
    }

    /// Tells of bytes that hold no frame, and goes on at the next restart frame behind them.
    private mutating func jump(
        _ inspection: inout LogInspection,
        _ handle: LogInspector.Handler
    ) throws -> Bool {
        let start = reader.offset
        let last = try input.lastNonZero(from: start, to: limit)
        guard start < limit, reader.stop != .sealed, isFinished || last != nil else { return false }
        let end = isFinished ? limit : (last ?? start) + 1
        let found = try search(from: start + UInt64(LogFormat.alignment), to: end)
        // A running engine may have written the frame behind the reader's back, and later ones.
        if found.provesSync, !isFinished, try readAgain(upTo: start) { return true }
        let isDamage = isFinished || found.provesSync
        inspection.gaps += 1
        inspection.isDamaged = inspection.isDamaged || isDamage
        let gap = LogEvent.gap(
            length: (found.restart ?? end) - start,
            reason: reader.stop?.rawValue ?? "bad contents",
            after: reader.lastSequence,
            isDamage: isDamage
        )
        try handle(LogPlace(file: file.name, offset: start), gap)
        guard let restart = found.restart else { return false }
        reader = LogReader(file: file, frames: header.frames, limit: limit, from: restart)
        self.start = restart
        return true
    }

    /// Makes the reader a new one that stands at an offset, from what the file holds now; `false`
    /// when that was done there before, or does not work.
    private mutating func readAgain(upTo offset: UInt64) throws(EngineError) -> Bool {
        guard offset > lastRetry else { return false }
        lastRetry = offset
        let again = LogReader(file: file, frames: header.frames, limit: limit, from: start)
        do throws(EngineError) {
            while again.offset < offset, try again.next({ _, _ in }) {}
        } catch {
            guard !error.isOfSystem else { throw error }
            return false
        }
        guard again.offset == offset else { return false }
        reader = again
        input = FileInput(file: file, limit: limit)
        return true
    }

    /// The next restart frame, and whether any frame proves that what is missing was synced.
    private mutating func search(
        from start: UInt64,
        to end: UInt64
    ) throws(EngineError) -> (restart: UInt64?, provesSync: Bool) {
        let frames = header.frames
        var restart: UInt64?
        var provesSync = false
        var offset = start
        while offset < end {
            let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
            var headerSize = 0
            if let frame = FrameHeader(
                decoding: bytes,
                at: offset,
                of: frames,
                headerSize: &headerSize
            ) {
                provesSync = provesSync || frame.syncedThrough >= start
                if frame.flags.contains(.restart), restart == nil { restart = offset }
            }
            offset += UInt64(LogFormat.alignment)
        }
        return (restart, provesSync)
    }
}
