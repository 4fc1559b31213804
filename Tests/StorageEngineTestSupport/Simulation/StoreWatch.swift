import StorageEngine

// The floor at every position of a trace: follows a store through a history and knows up to which
// sequence it would recover from what is durable there, or from what the kernel has, without
// opening the engine. It reads on from where it stopped, and looks again only at what changed.
//
// What it requires is what recovery requires:
//
// 1. STORE is there and right, and so is the manifest that it names.
// 2. Every segment that the manifest names is there, and whole. (That the right versions are in
//    them is seen where the store is opened.)
// 3. The log begins behind the end that the manifest names, its files are consecutive, each is good
//    up to the length that its successor or STORE records, and the last one up to its first bad
//    frame.
// 4. The log ends no earlier than segments and STORE say.
//
// A store that breaks one of these would not open: nothing survives.

struct StoreWatch {
    private let path: String
    private let view: SimulatedView

    /// Whatever was read, with where it was read from and when that had changed last.
    private struct Source: Equatable {
        let node: Int
        let stamp: Int
    }

    private var directory: Source?
    private var nodes: [FileName: Int] = [:]
    private var logNumbers: [UInt64] = []
    private var mark: (source: Source, mark: StoreMark?)?
    private var manifest: (source: Source, state: ManifestState?)?
    private var segments: [UInt64: (source: Source, isWhole: Bool)] = [:]
    private var logs: [UInt64: LogProgress] = [:]

    private var found: Result<UInt64, Missing>?

    /// Why the store would not open.
    struct Missing: Error { let what: String }

    init(path: String, _ view: SimulatedView) {
        self.path = path
        self.view = view
    }

    /// The last sequence that would be recovered now, or why there would be none; `operation` is
    /// the last that was done.
    mutating func survivingSequence(
        _ history: borrowing SimulatedHistory,
        after operation: SimulatedOperation?
    ) -> Result<UInt64, Missing> {
        if view == .durable, let found, operation?.isSync == false { return found }
        let result = Result { () throws(Missing) in try look(history) }
        found = result
        return result
    }

    private mutating func look(_ history: borrowing SimulatedHistory) throws(Missing) -> UInt64 {
        lookAtNames(history)
        let mark = try readMark(history)
        var flushed: UInt64 = 0
        var start = LogEnd.start
        if mark.manifest > 0 {
            let state = try readManifest(mark, history)
            (flushed, start) = (state.flushed.sequence, state.logStart)
            for level in state.levels {
                for info in level { try check(info, mark.historyID, history) }
            }
        }
        let end = try readLog(from: start, flushed: flushed, floor: mark.floor, history)
        guard end >= flushed else {
            throw Missing(what: "the log ends at \(end), segments hold all up to \(flushed)")
        }
        return end
    }

    // MARK: - Names, mark and manifest

    private mutating func lookAtNames(_ history: borrowing SimulatedHistory) {
        guard let node = history.node(path, view) else {
            (directory, nodes, logNumbers) = (nil, [:], [])
            return
        }
        let now = Source(node: node, stamp: history.stamp(ofNode: node, view))
        guard directory != now else { return }
        directory = now
        nodes = [:]
        for (name, node) in history.entries(ofNode: node, view) {
            if let name = FileName(parsing: name) { nodes[name] = node }
        }
        logNumbers = nodes.keys.compactMap {
            if case .log(let number) = $0 { number } else { nil }
        }.sorted()
    }

    private func source(
        _ name: FileName,
        _ history: borrowing SimulatedHistory
    ) throws(Missing) -> Source {
        guard let node = nodes[name] else { throw Missing(what: "\(name) is missing") }
        return Source(node: node, stamp: history.stamp(ofNode: node, view))
    }

    private mutating func readMark(
        _ history: borrowing SimulatedHistory
    ) throws(Missing) -> StoreMark {
        let source = try source(.store, history)
        if mark?.source != source {
            let range = 0..<UInt64(StoreMark.encodedSize)
            let bytes = history.bytes(ofNode: source.node, view, in: range)
            mark = (source, bytes.withUnsafeBytes { try? StoreMark(decoding: $0) })
        }
        guard let mark = mark?.mark else { throw Missing(what: "STORE is damaged") }
        return mark
    }

    private mutating func readManifest(
        _ mark: StoreMark,
        _ history: borrowing SimulatedHistory
    ) throws(Missing) -> ManifestState {
        let source = try source(.manifest(mark.manifest), history)
        if manifest?.source != source {
            let state = try? ManifestReader.read(
                directory: openImage(history),
                number: mark.manifest,
                historyID: mark.historyID
            )
            manifest = (source, state)
        }
        guard let state = manifest?.state else { throw Missing(what: "the manifest is damaged") }
        return state
    }

    private mutating func check(
        _ info: SegmentInfo,
        _ historyID: UniqueID,
        _ history: borrowing SimulatedHistory
    ) throws(Missing) {
        let source = try source(.segment(info.number), history)
        if segments[info.number]?.source != source {
            let found = Result {
                let directory = try openImage(history)
                let file = try directory.open(.segment(info.number), for: .read)
                try Segment(info, file: file, historyID: historyID, cache: nil).verify()
            }
            segments[info.number] = (source, (try? found.get()) != nil)
        }
        guard segments[info.number]?.isWhole == true else {
            throw Missing(what: "segment \(info.number) is not whole")
        }
    }

    /// The store's directory as it is now, for those who read files.
    private func openImage(_ history: borrowing SimulatedHistory) throws -> StoreDirectory {
        let image = history.crashed(view == .durable ? .none : .all)
        return try StoreDirectory.open(path: path, in: image)
    }

    // MARK: - Log

    private mutating func readLog(
        from start: LogEnd,
        flushed: UInt64,
        floor: LogEnd,
        _ history: borrowing SimulatedHistory
    ) throws(Missing) -> UInt64 {
        var end = start
        var previous: LogProgress?
        var unused: UInt64?
        for number in logNumbers where number > start.fileNumber {
            let source = try source(.log(number), history)
            var log = logs[number] ?? LogProgress(number)
            log.read(source.node, source.stamp, view, history)
            logs[number] = log
            guard let header = log.header else {
                unused = unused ?? number
                continue
            }
            if let unused { throw Missing(what: "log \(unused), before \(number), has no header") }
            let before = header.predecessor
            guard before.fileNumber == 0 || before.fileNumber + 1 == number else {
                throw Missing(what: "log \(before.fileNumber + 1) is missing")
            }
            if let previous {
                try previous.check(endsAt: before, flushed: flushed)
            } else if before != start {
                throw Missing(what: "log \(number) does not follow what the manifest says")
            }
            end = log.end
            previous = log
        }
        guard end.fileNumber >= floor.fileNumber else {
            throw Missing(what: "log \(floor.fileNumber) is missing, which STORE names")
        }
        if let previous, floor.fileNumber == end.fileNumber {
            try previous.check(endsAt: floor, flushed: flushed)
            return floor.lastSequence
        }
        return end.lastSequence
    }
}

/// How far one log file was read.
private struct LogProgress {
    private let number: UInt64
    private(set) var header: LogFileHeader?
    private(set) var end = LogEnd.start
    private var node = -1
    private var stamp = -1
    /// Where good frames end, and with which record.
    private var ends: [UInt64: UInt64] = [:]
    /// The last good frame, to notice when the file was cut back and written again.
    private var last: (offset: UInt64, hash: UInt64)?

    init(_ number: UInt64) { self.number = number }

    /// Throws unless the file is good up to where its successor or STORE says that it ends.
    func check(endsAt expected: LogEnd, flushed: UInt64) throws(StoreWatch.Missing) {
        // Nobody reads what is in segments.
        guard expected.lastSequence > flushed else { return }
        guard number == expected.fileNumber, ends[expected.length] == expected.lastSequence else {
            throw StoreWatch.Missing(
                what: "log \(number) is good up to \(end.length), \(expected.length) were synced"
            )
        }
    }

    /// Reads what has been added.
    mutating func read(
        _ node: Int,
        _ stamp: Int,
        _ view: SimulatedView,
        _ history: borrowing SimulatedHistory
    ) {
        guard (self.node, self.stamp) != (node, stamp) else { return }
        let file = FileView(node: node, view: view)
        let isSame = self.node == node && hasLast(file, history)
        (self.node, self.stamp) = (node, stamp)
        if !isSame { restart(file, history) }
        guard let header else { return }
        while let frame = file.frame(at: end.length, header.frames, history),
            frame.previousSequence == end.lastSequence
        {
            last = (end.length, frame.hash)
            ends[frame.end] = frame.lastSequence
            end = LogEnd(
                fileNumber: number,
                length: frame.end,
                lastSequence: frame.lastSequence,
                logHash: 0
            )
        }
    }

    private func hasLast(_ file: FileView, _ history: borrowing SimulatedHistory) -> Bool {
        guard let last, let header else { return false }
        return file.frame(at: last.offset, header.frames, history)?.hash == last.hash
    }

    private mutating func restart(_ file: FileView, _ history: borrowing SimulatedHistory) {
        last = nil
        let range = 0..<UInt64(LogFormat.headerSize)
        let bytes = history.bytes(ofNode: file.node, file.view, in: range)
        header = bytes.withUnsafeBytes { try? LogFileHeader(decoding: $0, file: "log") }
        // A torn write may leave what the disk held there before: another file's header.
        if header?.fileNumber != number { header = nil }
        end = LogEnd(
            fileNumber: number,
            length: UInt64(LogFormat.headerSize),
            lastSequence: header?.predecessor.lastSequence ?? 0,
            logHash: 0
        )
        ends = [end.length: end.lastSequence]
    }

    private struct FileView {
        let node: Int
        let view: SimulatedView

        /// A good frame at an offset.
        func frame(
            at offset: UInt64,
            _ frames: FrameStream,
            _ history: borrowing SimulatedHistory
        ) -> (previousSequence: UInt64, lastSequence: UInt64, end: UInt64, hash: UInt64)? {
            let range = offset..<offset + UInt64(FrameHeader.encodedSizeMax)
            let bytes = history.bytes(ofNode: node, view, in: range)
            var headerSize = 0
            let decoded = bytes.withUnsafeBytes {
                FrameHeader(decoding: $0, at: offset, of: frames, headerSize: &headerSize)
            }
            guard let frame = decoded else { return nil }
            let start = offset + UInt64(headerSize)
            let payload = history.bytes(
                ofNode: node,
                view,
                in: start..<start + UInt64(frame.storedSize)
            )
            guard payload.count == frame.storedSize,
                payload.withUnsafeBytes({ Checksum.xxh3($0) }) == frame.payloadHash
            else { return nil }
            let size = LogFormat.aligned(headerSize + frame.storedSize)
            return (
                frame.previousSequence, frame.lastSequence, offset + UInt64(size),
                frame.payloadHash
            )
        }
    }
}

extension SimulatedOperation {
    /// Whether the operation may have made something durable.
    fileprivate var isSync: Bool {
        switch self {
        case .sync, .failedSync, .syncDirectory: true
        default: false
        }
    }
}
