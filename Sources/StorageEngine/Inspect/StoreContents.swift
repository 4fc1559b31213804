// What a store holds, as its files say, beside a running engine or without one.
//
// 1. A first look finds the end of the log, the epochs and log hashes; a second one, once it is
//    known how far two stores are compared, what was not flushed. The log is read before the
//    manifest: what is flushed meanwhile is found in both, and that does no harm.
// 2. What is not flushed is kept in memory, as in an engine; segments are read as they are walked.
// 3. Of each key, segments have the newest version. At a sequence before their last one, a key that
//    was changed later is not known; nor is whether one was there, when tombstones from later were
//    dropped.

/// What a store has of a key at a sequence.
enum KeyContents {
    /// Borrowed until the walk moves.
    case value(UnsafeRawBufferPointer, sequence: UInt64)
    /// Deleted, or never there.
    case none
    /// It was changed later, and what was there before may be gone.
    case changedLater
}

/// A store that is compared with another one.
///
/// Thread safety: none; one owner.
final class StoreContents {
    let path: String
    private let directory: StoreDirectory
    private let report: (LogPlace, EngineError) throws -> Void

    private(set) var historyID: UniqueID
    /// The end of the history.
    private(set) var lastSequence: UInt64 = 0
    private(set) var epochs: [EpochEntry] = []
    private(set) var trail = LogTrail()
    /// Records behind this sequence can be read from the log.
    private(set) var logStart: UInt64 = 0

    private(set) var state = ManifestState()
    /// The log's records up to the sequence that is compared.
    private var index = MemoryIndex()
    private var visible: UInt64 = 0

    /// What is wrong with the files.
    private(set) var isDamaged = false
    private(set) var hasMissingFiles = false

    /// Looks at a store.
    ///
    /// - Parameters:
    ///   - path: Its directory.
    ///   - report: Is told of damage.
    /// - Throws: ``EngineError`` with code `notAStore` or `io`, or what the closure throws.
    init(
        path: String,
        _ report: @escaping (LogPlace, EngineError) throws -> Void
    ) throws {
        self.path = path
        self.report = report
        directory = try StoreInspector.openDirectory(path)
        historyID = try Self.historyID(of: directory, path)
        try readManifest()
        try scan()
    }

    private static func historyID(
        of directory: StoreDirectory,
        _ path: String
    ) throws(EngineError) -> UniqueID {
        let mark: StoreMark?
        do throws(EngineError) {
            mark = try StoreInspector.mark(of: directory)
        } catch {
            throw EngineError(
                error.code,
                error.message,
                file: "\(path)/\(FileName.store)",
                offset: error.offset,
                errno: error.errno
            )
        }
        guard let mark else { throw EngineError(.notAStore, "there is no store in \(path)") }
        return mark.historyID
    }

    /// Whether the store went on behind the place where an epoch began, but not in that epoch.
    func lacks(_ entry: EpochEntry) -> Bool {
        guard let first = epochs.first, let last = epochs.last else { return false }
        guard entry.epoch.number < last.epoch.number else {
            return lastSequence > entry.lastSequenceBefore
        }
        return entry.epoch.number > first.epoch.number
    }

    // MARK: - The log

    /// Finds where the log ends, and notes epochs and hashes.
    private func scan() throws {
        logStart = state.logStart.lastSequence
        lastSequence = state.flushed.sequence
        epochs = state.epochs
        trail.pin(state.flushed.sequence, state.flushed.logHash)
        trail.pin(state.logStart.lastSequence, state.logStart.logHash)
        try readLog { head, hash, _ in trail.note(head.sequence, hash) }
        for entry in epochs { trail.pin(entry.lastSequenceBefore, entry.logHashBefore) }
        lastSequence = max(lastSequence, trail.last)
    }

    /// Reads what was not flushed up to a sequence, then what is in segments; returns the hashes of
    /// a part of the log.
    func load(through end: UInt64, window: ClosedRange<UInt64>) throws -> LogWindow {
        var hashes = LogWindow(window)
        let flushed = state.flushed.sequence
        try readLog { head, hash, operations in
            hashes.note(head.sequence, hash)
            if head.sequence > flushed, head.sequence <= end {
                try insert(operations, at: head.sequence)
            }
        }
        try readManifest()
        return hashes
    }

    private func readLog(
        _ body: (RecordHead, UInt64, [UInt8]) throws -> Void
    ) throws {
        var hash: UInt64 = 0
        let inspection = try LogInspector(directory).run { place, event in
            switch event {
            case .file(let header?, _):
                hash = header.frames.initialHash
                if trail.last == 0 { trail.pin(header.predecessor) }
                note(header)
            case .record(let head, let operations):
                let digest = operations.withUnsafeBytes { LogHash.digest($0) }
                hash = LogHash.next(hash, head, digest: digest)
                try body(head, hash, operations)
            case .gap(_, let reason, _, isDamage: true):
                let message = "reading the log: \(reason)"
                try fail(.corruption(message, file: place.file, offset: place.offset))
            case .error(let error): try fail(error)
            case .file(nil, _), .frame, .gap: break
            }
        }
        isDamaged = isDamaged || inspection.isDamaged
        hasMissingFiles = hasMissingFiles || inspection.hasMissingFiles
    }

    private func note(_ header: LogFileHeader) {
        epochs = epochs.continued(with: header.epochs)
    }

    private func insert(_ operations: [UInt8], at sequence: UInt64) throws {
        let retention = MemoryIndex.Retention(visible: visible, registered: [])
        for operation in try InspectedOperation.all(operations) {
            switch operation.kind {
            case .put, .delete:
                operation.key.withUnsafeBytes { key in
                    (operation.value ?? []).withUnsafeBytes { value in
                        _ = index.insert(
                            key: key,
                            value: value,
                            flags: operation.kind == .delete ? VersionFlags.tombstone : 0,
                            sequence: sequence,
                            retention: retention
                        )
                    }
                }
            case .rangeDelete:
                let range = KeyRange(from: operation.key, to: operation.upper)
                index.insert(RangeTombstone(range, sequence: sequence), retention: retention)
            }
        }
        visible = sequence
    }

    // MARK: - Manifest and segments

    private func readManifest() throws {
        let store = try StoreInspector.read(directory) { place, event in
            if case .error(let error) = event { try fail(error, at: place) }
        }
        isDamaged = isDamaged || store.manifest.isDamaged
        state = store.manifest.state
    }

    /// A walk over the keys, at a sequence to which the log was loaded.
    func walk(_ keys: KeyRange, at sequence: UInt64) throws -> ContentsWalk {
        for _ in 1..<StoreInspector.triesMax {
            do throws(EngineError) {
                return try open(keys, at: sequence)
            } catch {
                // Beside an engine, files go when others are made of them.
                guard error.isMissingFile else { throw error }
            }
            try readManifest()
        }
        return try open(keys, at: sequence)
    }

    private func open(
        _ keys: KeyRange,
        at sequence: UInt64
    ) throws(EngineError) -> ContentsWalk {
        let cache = BlockCache(budget: Self.cacheSize)
        var levels: [[Segment]] = []
        for level in state.levels {
            var segments: [Segment] = []
            for info in level {
                let file = try directory.open(.segment(info.number), for: .read)
                segments.append(
                    try Segment(info, file: file, historyID: historyID, cache: cache)
                )
            }
            levels.append(segments)
        }
        let view = ReadView(active: index, sealed: [], version: Version(levels: levels))
        let isExact = state.flushed.sequence <= sequence
        return ContentsWalk(
            view,
            keys,
            at: sequence,
            isExact: isExact,
            knowsAbsence: isExact || state.deltaHorizon <= sequence
        )
    }

    private static let cacheSize = 8 << 20

    // MARK: - Damage

    private func fail(_ error: EngineError, at place: LogPlace? = nil) throws {
        isDamaged = isDamaged || error.code != .logGap
        let file = error.file ?? place?.file ?? "."
        let offset = error.offset ?? place?.offset ?? 0
        try report(LogPlace(file: "\(path)/\(file)", offset: offset), error)
    }
}

extension LogTrail {
    /// Notes the end of a log file.
    fileprivate mutating func pin(_ end: LogEnd) { pin(end.lastSequence, end.logHash) }
}

/// A walk over the keys of a store, in order.
///
/// Thread safety: none; one owner.
final class ContentsWalk {
    private let keys: KeyRange
    private let sequence: UInt64
    private let tombstones: RangeTombstones
    private var cursor: MergeCursor
    /// Whether nothing in segments is later than the sequence.
    let isExact: Bool
    /// Whether a key that is not found was not there.
    let knowsAbsence: Bool

    fileprivate init(
        _ view: ReadView,
        _ keys: KeyRange,
        at sequence: UInt64,
        isExact: Bool,
        knowsAbsence: Bool
    ) {
        self.keys = keys
        self.sequence = sequence
        self.isExact = isExact
        self.knowsAbsence = knowsAbsence
        tombstones = view.rangeTombstones
        cursor = MergeCursor(view, at: .max)
    }

    func start() throws(EngineError) {
        let lower = keys.lower
        try lower.span.withUnsafeBytes { key throws(EngineError) in try cursor.seek(to: key) }
    }

    func next() throws(EngineError) { try cursor.next() }

    /// The key where the walk stands, `nil` at its end; borrowed until it moves.
    var key: UnsafeRawBufferPointer? {
        guard let key = cursor.entry?.key else { return nil }
        let isInside = keys.upper?.withUnsafeBytes { key.precedes($0) } ?? true
        return isInside ? key : nil
    }

    /// What is there of the key where the walk stands.
    var contents: KeyContents {
        guard let entry = cursor.entry else { return .none }
        let cover = tombstones.isEmpty ? 0 : tombstones.newest(covering: entry.key, at: .max)
        guard max(entry.sequence, cover) <= sequence else { return .changedLater }
        guard !entry.isTombstone, entry.sequence >= cover else { return .none }
        return .value(entry.value, sequence: entry.sequence)
    }
}
