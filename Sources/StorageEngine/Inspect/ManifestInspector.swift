// Looks at a manifest, whole or damaged. It reads, and never locks or writes.
//
// 1. Behind a frame that cannot be read the inspector looks for the next restart frame, 8 bytes at
//    a time, reports the gap and goes on there. The state ends before the gap: what comes behind
//    depends on what is missing.
// 2. A gap is damage where bytes are missing that were synced: in the snapshot, before a frame that
//    says so, and before any frame that is good. Otherwise it is the torn, or unfinished, end.

/// What an inspection of a manifest comes across, in the order of the file.
package enum ManifestEvent {
    case file(ManifestHeader, size: UInt64)
    /// An edit and its number in the file; the number is as the frames have it.
    case edit(number: UInt64, VersionEdit)
    /// The end of a clean close.
    case seal
    case gap(length: UInt64, reason: String, afterEdit: UInt64, isDamage: Bool)
    case error(EngineError)
}

/// What an inspection of a manifest found in all.
package struct ManifestInspection: Sendable {
    package var edits = 0
    package var isDamaged = false
    /// Whether the file ends with bytes of an edit that nobody depends on.
    package var isTorn = false
    /// The sum of the edits up to the first damage.
    package var state = ManifestState()
    /// Where the edits end that make up the state.
    package var end: UInt64 = 0
}

/// Reads a manifest tolerantly.
package struct ManifestInspector {
    package typealias Handler = (LogPlace, ManifestEvent) throws -> Void

    private let file: StoreFile
    private let number: UInt64
    private let historyID: UniqueID?

    /// Opens a manifest. `historyID`: what STORE names, when that is to be compared.
    ///
    /// - Throws: ``EngineError`` with code `io`; its ENOENT when there is none.
    package init(
        number: UInt64,
        in directory: StoreDirectory,
        historyID: UniqueID? = nil
    ) throws(EngineError) {
        file = try directory.open(.manifest(number), for: .read)
        self.number = number
        self.historyID = historyID
    }

    /// Reads the file and hands every event to a closure.
    ///
    /// A running engine may append while the end is looked at: what looks damaged is read again
    /// until it stays as it is.
    package func run(_ handle: Handler) throws -> ManifestInspection {
        var events: [(LogPlace, ManifestEvent)] = []
        var inspection = try runOnce { events.append(($0, $1)) }
        for _ in 1..<StoreInspector.triesMax where inspection.isDamaged {
            let end = inspection.end
            events = []
            inspection = try runOnce { events.append(($0, $1)) }
            if inspection.end == end { break }
        }
        for (place, event) in events { try handle(place, event) }
        return inspection
    }

    private func runOnce(_ handle: Handler) throws -> ManifestInspection {
        var inspection = ManifestInspection()
        let size = try file.size()
        let header: ManifestHeader
        do throws(EngineError) {
            let bytes = try file.read(count: ManifestFormat.headerSize, at: 0)
            header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
                try ManifestHeader(decoding: bytes, file: file.name)
            }
        } catch {
            guard !error.isOfSystem else { throw error }
            inspection.isDamaged = true
            try handle(place(at: error.offset ?? 0), .error(error))
            return inspection
        }
        try handle(place(at: 0), .file(header, size: size))
        if header.fileNumber != number || header.historyID != historyID ?? header.historyID {
            inspection.isDamaged = true
            let error = EngineError.corruption(
                "opening a manifest: the header is of file number \(header.fileNumber), "
                    + "history \(header.historyID)",
                file: file.name,
                offset: 32
            )
            try handle(place(at: 32), .error(error))
        }
        inspection.end = UInt64(ManifestFormat.headerSize)
        var walk = ManifestWalk(file: file, header: header, size: size)
        while try walk.next(&inspection, handle) {}
        return inspection
    }

    private func place(at offset: UInt64) -> LogPlace { LogPlace(file: file.name, offset: offset) }
}

/// A walk over the frames of a manifest, across what cannot be read.
///
/// Thread safety: none.
private struct ManifestWalk: ~Copyable {
    private let file: StoreFile
    private let header: ManifestHeader
    private let size: UInt64
    private var reader: LogReader
    /// Whether all edits so far are in the state.
    private var isComplete = true

    init(file: StoreFile, header: ManifestHeader, size: UInt64) {
        self.file = file
        self.header = header
        self.size = size
        reader = LogReader(file: file, frames: header.frames, limit: size)
    }

    /// Reads the next frame, or goes on behind what is none; `false` at the end.
    mutating func next(
        _ inspection: inout ManifestInspection,
        _ handle: ManifestInspector.Handler
    ) throws -> Bool {
        let offset = reader.offset
        let place = LogPlace(file: file.name, offset: offset)
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
        for record in records {
            let found = decode(record.head, record.operations, at: offset)
            if let edit = found.edit {
                inspection.edits += 1
                try handle(place, .edit(number: record.head.sequence, edit))
            }
            let error = found.error ?? found.edit.flatMap { apply($0, &inspection, at: offset) }
            if let error {
                inspection.isDamaged = true
                isComplete = false
                try handle(place, .error(error))
            }
        }
        if reader.stop == .sealed { try handle(place, .seal) }
        if isComplete { inspection.end = reader.offset }
        return true
    }

    private func decode(
        _ head: RecordHead,
        _ operations: [UInt8],
        at offset: UInt64
    ) -> (edit: VersionEdit?, error: EngineError?) {
        guard head.kind == .data else {
            return (nil, corrupt("edit \(head.sequence) is a record of another kind", offset))
        }
        do throws(DecodingFailure) {
            let edit = try operations.span.withUnsafeBytes { bytes throws(DecodingFailure) in
                try VersionEdit(decoding: bytes)
            }
            return (edit, nil)
        } catch {
            return (nil, corrupt("edit \(head.sequence): \(error.reason)", offset))
        }
    }

    /// Adds an edit to the state, which stays as it was when that does not work.
    private func apply(
        _ edit: VersionEdit,
        _ inspection: inout ManifestInspection,
        at offset: UInt64
    ) -> EngineError? {
        guard isComplete else { return nil }
        do throws(DecodingFailure) {
            try inspection.state.apply(edit)
            return nil
        } catch {
            return corrupt(error.reason, offset)
        }
    }

    // MARK: - What cannot be read

    /// Tells of bytes that hold no edit, and goes on at the next restart frame behind them.
    private mutating func jump(
        _ inspection: inout ManifestInspection,
        _ handle: ManifestInspector.Handler
    ) throws -> Bool {
        let start = reader.offset
        let last = try reader.lastNonZero()
        if reader.stop == .sealed {
            guard let last else { return false }
            inspection.isDamaged = true
            let place = LogPlace(file: file.name, offset: last)
            try handle(place, .error(corrupt("bytes behind the seal", last)))
            return false
        }
        let isShort = start < header.snapshotEnd
        guard isShort || last != nil else { return false }
        let end = max((last ?? 0) + 1, isShort ? header.snapshotEnd : 0)
        let found = try search(behind: start, to: min(end, size))
        let proof = try last.flatMap { last throws(EngineError) in
            try reader.firstProofOfMore(through: last)
        }
        let isDamage = isShort || found != nil || proof != nil
        let gap = ManifestEvent.gap(
            length: (found ?? max(end, start)) - start,
            reason: reader.stop?.rawValue ?? "bad contents",
            afterEdit: reader.lastSequence,
            isDamage: isDamage
        )
        inspection.isDamaged = inspection.isDamaged || isDamage
        inspection.isTorn = inspection.isTorn || !isDamage
        isComplete = false
        try handle(LogPlace(file: file.name, offset: start), gap)
        guard let found else { return false }
        reader = LogReader(file: file, frames: header.frames, limit: size, from: found)
        return true
    }

    /// The next restart frame behind an offset.
    private func search(behind start: UInt64, to end: UInt64) throws(EngineError) -> UInt64? {
        var input = FileInput(file: file, limit: size)
        var offset = start + UInt64(LogFormat.alignment)
        while offset < end {
            let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
            var headerSize = 0
            let frame = FrameHeader(
                decoding: bytes,
                at: offset,
                of: header.frames,
                headerSize: &headerSize
            )
            if frame?.flags.contains(.restart) == true { return offset }
            offset += UInt64(LogFormat.alignment)
        }
        return nil
    }

    private func corrupt(_ what: String, _ offset: UInt64) -> EngineError {
        .corruption("reading a manifest: \(what)", file: file.name, offset: offset)
    }
}
