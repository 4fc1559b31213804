import StorageEngine

/// Follows the log files of a history and knows up to which sequence they can be read, without
/// opening the engine: the fewest records that recovery may find.
///
/// It reads on from where it stopped, and starts a file over when it shrank.
struct LogWatch {
    private struct File {
        var header: LogFileHeader?
        var offset = UInt64(LogFormat.headerSize)
        var lastSequence: UInt64 = 0
    }

    private let directory: String
    private let view: SimulatedView
    private var files: [UInt64: File] = [:]
    /// The first log file that was there, and up to where segments hold what was before it.
    private var first: UInt64 = 1
    private var flushed: UInt64 = 0

    init(directory: String, _ view: SimulatedView) {
        self.directory = directory
        self.view = view
    }

    /// The last sequence that can be read now.
    mutating func lastSequence(_ history: borrowing SimulatedHistory) -> UInt64 {
        let names = history.names(inDirectory: directory, view) ?? []
        let numbers = names.compactMap { name -> UInt64? in
            if case .log(let number) = FileName(parsing: name) { number } else { nil }
        }
        if let lowest = numbers.min(), lowest > first {
            first = lowest
            flushed = flushedSequence(history)
        }
        var last = flushed
        files = files.filter { numbers.contains($0.key) }
        for number in numbers.sorted() {
            var file = files[number] ?? File()
            read(&file, number, history)
            files[number] = file
            guard let header = file.header else { continue }
            // A file that does not go on from where the log ends is not reached by recovery.
            guard header.predecessor.lastSequence <= last else { break }
            last = max(last, header.predecessor.lastSequence, file.lastSequence)
        }
        return last
    }

    /// Up to where the manifest says that segments hold everything; 0 when it cannot be read.
    private func flushedSequence(_ history: borrowing SimulatedHistory) -> UInt64 {
        let image = history.crashed(view == .durable ? .none : .all)
        do {
            let directory = try StoreDirectory.open(path: directory, in: image)
            let bytes = try directory.open(.store, for: .read).read(
                count: StoreMark.encodedSize,
                at: 0
            )
            let mark = try bytes.withUnsafeBytes { try StoreMark(decoding: $0) }
            return try ManifestReader.read(
                directory: directory,
                number: mark.manifest,
                historyID: mark.historyID
            ).flushed.sequence
        } catch {
            return 0
        }
    }

    private func read(_ file: inout File, _ number: UInt64, _ history: borrowing SimulatedHistory) {
        let path = "\(directory)/\(FileName.log(number))"
        let size = history.size(ofFile: path, view) ?? 0
        if size < file.offset { file = File() }
        if file.header == nil {
            let bytes =
                history.bytes(ofFile: path, view, in: 0..<UInt64(LogFormat.headerSize)) ?? []
            file.header = bytes.withUnsafeBytes { try? LogFileHeader(decoding: $0, file: path) }
        }
        guard let header = file.header else { return }
        file.lastSequence = max(file.lastSequence, header.predecessor.lastSequence)
        while let frame = frame(at: file.offset, path, header, history) {
            file.lastSequence = max(file.lastSequence, frame.lastSequence)
            file.offset = frame.end
        }
    }

    private func frame(
        at offset: UInt64,
        _ path: String,
        _ header: LogFileHeader,
        _ history: borrowing SimulatedHistory
    ) -> (lastSequence: UInt64, end: UInt64)? {
        let range = offset..<offset + UInt64(FrameHeader.encodedSizeMax)
        guard let bytes = history.bytes(ofFile: path, view, in: range) else { return nil }
        var headerSize = 0
        let decoded = bytes.withUnsafeBytes {
            FrameHeader(
                decoding: $0,
                at: offset,
                of: header.frames,
                headerSize: &headerSize
            )
        }
        guard let frame = decoded else { return nil }
        let start = offset + UInt64(headerSize)
        let payload =
            history.bytes(ofFile: path, view, in: start..<start + UInt64(frame.storedSize)) ?? []
        guard payload.count == frame.storedSize,
            payload.withUnsafeBytes({ Checksum.xxh3($0) }) == frame.payloadHash
        else { return nil }
        let size = LogFormat.aligned(headerSize + frame.storedSize)
        return (frame.lastSequence, offset + UInt64(size))
    }
}
