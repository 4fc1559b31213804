// A directory of backups: files that belong to one or more backups of one history, and a list for
// each backup, `0000000001.backup`.
//
//   list   := header file* state checksum               (all numbers little-endian)
//
//   header := 0   magic              8 bytes, "SEBACKP\n"
//             8   formatVersion      u32, 1
//             12  headerSize         u32, 160
//             16  requiredFeatures   u64, an unknown bit refuses the list, untouched
//             24  ignorableFeatures  u64, unknown bits mean nothing
//             32  historyID          16 bytes
//             48  memberID           16 bytes, the directory that was backed up
//             64  number             u64, from 1; the name repeats it
//             72  time               u64, milliseconds since 1970
//             80  end                {fileNumber u64, length u64, lastSequence u64, logHash u64},
//                                    where the log ends
//             112 lastStamp          u64, no stamp in the log is above it
//             120 epoch              {number u64, starter u64}, of the last log file
//             136 fileCount          u64
//             144 stateSize          u64
//             152 checksum           u64, XXH3-64 of bytes 0..<152
//   file   := {kind u64, number u64, size u64, checksum u64}
//             kind 1: a segment; its checksum is the one in its footer, of all bytes before that
//             kind 2: a log file, up to where it was synced; XXH3-64 of these bytes
//   state  := a version edit as in `ManifestFormat.swift`, stateSize bytes: applied to an empty
//             state it gives that of the manifest
//   checksum := u64, XXH3-64 of all bytes before it
//
// (1) Lists hold numbers, never names. A file is `NUMBER-CHECKSUM.segment` or `.log`: equal names
//     have equal bytes, whichever backup brought them.
// (2) A list appears as a whole, once every file in it is synced and has its name durably. A file
//     that no list names is a leftover, and goes before the next backup copies anything.
// (3) A backup is removed by removing its list, durably; then go the files that no list names any
//     more. While a list cannot be read nothing is removed and nothing added.
// (4) The segments among the files are those of the state; the log files are consecutive, from the
//     one behind the state's log start to that of the end.
//
// `BackupFormatTests` pins these bytes; changing them takes a new format version.

/// Numbers of the format of lists.
enum BackupFormat {
    static let version: UInt32 = 1
    static let headerSize = 160
    static let fileSize = 32
    static let magic: UInt64 = 0x0a50_4b43_4142_4553  // "SEBACKP\n"
    /// The largest list that is read.
    static let listSizeMax: UInt64 = 1 << 30

    static let preamble = FilePreamble(
        magic: magic,
        version: version,
        headerSize: headerSize,
        knownFeatures: 0,
        kind: "backup"
    )
}

/// A file of one or more backups.
struct SavedFile: Hashable, Sendable {
    enum Kind: UInt64, Sendable {
        case segment = 1
        case log = 2
    }

    let kind: Kind
    let number, size, checksum: UInt64

    init(kind: Kind, number: UInt64, size: UInt64, checksum: UInt64) {
        self.kind = kind
        self.number = number
        self.size = size
        self.checksum = checksum
    }

    init(_ info: SegmentInfo) {
        self.init(kind: .segment, number: info.number, size: info.size, checksum: info.checksum)
    }

    var name: FileName {
        switch kind {
        case .segment: .savedSegment(number, checksum: checksum)
        case .log: .savedLog(number, checksum: checksum)
        }
    }
}

/// The list of a backup.
struct BackupList: Hashable, Sendable {
    let historyID: UniqueID
    let memberID: UniqueID
    let number: UInt64
    /// Milliseconds since 1970.
    let time: UInt64
    let end: LogEnd
    let lastStamp: UInt64
    let epoch: Epoch
    let logs: [SavedFile]
    let state: ManifestState

    var segments: [SegmentInfo] { state.levels.flatMap { $0 } }
    var files: [SavedFile] { segments.map { SavedFile($0) } + logs }

    func encoded() -> ByteBuffer {
        var snapshot = ByteBuffer()
        state.snapshot.encode(into: &snapshot)
        let files = files
        var buffer = BackupFormat.preamble.begin()
        buffer.append(historyID)
        buffer.append(memberID)
        buffer.append(number)
        buffer.append(time)
        end.encode(into: &buffer)
        buffer.append(lastStamp)
        buffer.append(epoch.number)
        buffer.append(epoch.starter)
        buffer.append(UInt64(files.count))
        buffer.append(UInt64(snapshot.count))
        BackupFormat.preamble.finish(&buffer)
        for file in files {
            buffer.append(file.kind.rawValue)
            buffer.append(file.number)
            buffer.append(file.size)
            buffer.append(file.checksum)
        }
        buffer.append(snapshot.bytes)
        buffer.append(Checksum.xxh3(buffer.bytes))
        return buffer
    }

    /// Reads a list. The bytes come from disk, so every check throws.
    static func read(_ number: UInt64, in directory: StoreDirectory) throws(EngineError)
        -> BackupList
    {
        let file = try directory.open(.backup(number), for: .read)
        let size = try file.size()
        guard size <= BackupFormat.listSizeMax else {
            throw .corruption(
                "reading a backup's list: \(size) bytes, at most \(BackupFormat.listSizeMax)",
                file: file.name,
                offset: 0
            )
        }
        let bytes = try file.read(count: Int(size), at: 0)
        let list = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try BackupList(decoding: bytes, file: file.name)
        }
        guard list.number == number else {
            throw .corruption(
                "reading a backup's list: it is number \(list.number)",
                file: file.name,
                offset: 64
            )
        }
        return list
    }
}

extension BackupList {
    /// Decodes a list. The bytes may be hostile.
    init(decoding bytes: UnsafeRawBufferPointer, file: String) throws(EngineError) {
        func corrupt(_ what: String, at offset: Int) -> EngineError {
            .corruption("reading a backup's list: \(what)", file: file, offset: UInt64(offset))
        }
        let head = UnsafeRawBufferPointer(rebasing: bytes.prefix(BackupFormat.headerSize))
        var reader = try BackupFormat.preamble.check(head, file: file)
        guard let history = reader.uniqueID(), let member = reader.uniqueID(),
            let number = reader.uint64(), let time = reader.uint64(), let end = LogEnd(&reader),
            let lastStamp = reader.uint64(), let epoch = reader.uint64(),
            let starter = reader.uint64(), let fileCount = reader.uint64(),
            let stateSize = reader.uint64(), number > 0
        else { throw corrupt("impossible contents", at: 64) }
        let covered = bytes.count - 8
        let room = UInt64(max(0, covered - BackupFormat.headerSize))
        guard covered >= BackupFormat.headerSize, fileCount <= room / UInt64(BackupFormat.fileSize),
            room - fileCount * UInt64(BackupFormat.fileSize) == stateSize
        else { throw corrupt("\(bytes.count) bytes do not fit \(fileCount) files", at: 136) }
        var tail = ByteReader(bytes[in: covered, 8])
        guard Checksum.xxh3(bytes[in: 0, covered]) == tail.uint64() else {
            throw corrupt("wrong checksum", at: covered)
        }
        let filesSize = Int(fileCount) * BackupFormat.fileSize
        var fileReader = ByteReader(bytes[in: BackupFormat.headerSize, filesSize])
        guard let files = Self.files(&fileReader) else {
            throw corrupt("impossible file", at: BackupFormat.headerSize + fileReader.offset)
        }
        let stateStart = BackupFormat.headerSize + filesSize
        var state = ManifestState()
        do throws(DecodingFailure) {
            try state.applyInPlace(VersionEdit(decoding: bytes[in: stateStart, Int(stateSize)]))
        } catch {
            throw corrupt(error.reason, at: stateStart)
        }
        let segments = state.levels.flatMap { $0 }.map { SavedFile($0) }
        let logs = files.filter { $0.kind == .log }
        guard files == segments + logs, Self.areConsecutive(logs, from: state.logStart, to: end)
        else { throw corrupt("its files are not those of its state", at: BackupFormat.headerSize) }
        self.init(
            historyID: history,
            memberID: member,
            number: number,
            time: time,
            end: end,
            lastStamp: lastStamp,
            epoch: Epoch(number: epoch, starter: starter),
            logs: logs,
            state: state
        )
    }

    /// All files; `nil` when one is none.
    private static func files(_ reader: inout ByteReader) -> [SavedFile]? {
        var files: [SavedFile] = []
        while reader.remaining > 0 {
            guard let kind = reader.uint64().flatMap(SavedFile.Kind.init),
                let number = reader.uint64(),
                let size = reader.uint64(), let checksum = reader.uint64(), number > 0,
                number <= ManifestFormat.numberMax, size <= ManifestFormat.numberMax
            else { return nil }
            files.append(SavedFile(kind: kind, number: number, size: size, checksum: checksum))
        }
        return files
    }

    private static func areConsecutive(
        _ logs: [SavedFile],
        from start: LogEnd,
        to end: LogEnd
    ) -> Bool {
        guard let first = logs.first, let last = logs.last else { return end == start }
        // The first file of a history may have any number.
        let isBehind = start == .start || first.number == start.fileNumber + 1
        let isInOrder = zip(logs, logs.dropFirst()).allSatisfy { $0.number + 1 == $1.number }
        return isBehind && isInOrder && last.number == end.fileNumber && last.size == end.length
    }
}
