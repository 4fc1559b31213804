import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A directory with a store's mark, and with what a writer makes of it.
struct ManifestStore {
    static let historyID = UniqueID(high: 1, low: 2)

    let fileSystem: SimulatedFileSystem
    let directory: StoreDirectory
    let markFile: StoreMarkFile

    /// Makes a new store.
    init() throws {
        fileSystem = SimulatedFileSystem()
        directory = try StoreDirectory.make(path: "db", in: fileSystem)
        let mark = StoreMark(
            historyID: Self.historyID,
            memberID: UniqueID(high: 3, low: 4),
            floor: .start,
            manifest: 0
        )
        try directory.durableReplace(.store, with: mark.encoded())
        markFile = StoreMarkFile(directory: directory, mark: mark)
    }

    /// Opens what is there.
    init(_ fileSystem: SimulatedFileSystem) throws {
        self.fileSystem = fileSystem
        directory = try StoreDirectory.open(path: "db", in: fileSystem)
        markFile = StoreMarkFile(directory: directory, mark: try Self.mark(directory))
    }

    static func mark(_ directory: StoreDirectory) throws(EngineError) -> StoreMark {
        let file = try directory.open(.store, for: .read)
        let bytes = try file.read(count: StoreMark.encodedSize + 1, at: 0)
        return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
    }

    func writer(
        from state: ManifestState = ManifestState(),
        fileSizeMin: UInt64 = ManifestFormat.fileSizeMin
    ) -> ManifestWriter {
        ManifestWriter(
            directory: directory,
            markFile: markFile,
            state: state,
            fileSizeMin: fileSizeMin
        )
    }

    /// The state of the manifest that STORE names.
    static func state(_ fileSystem: SimulatedFileSystem) throws(EngineError) -> ManifestState {
        let directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let mark = try mark(directory)
        guard mark.manifest > 0 else { return ManifestState() }
        return try ManifestReader.read(
            directory: directory,
            number: mark.manifest,
            historyID: mark.historyID
        )
    }

    func state() throws(EngineError) -> ManifestState { try Self.state(fileSystem) }

    /// The manifests in the directory.
    func manifestNumbers() throws -> [UInt64] { try directory.list().manifestNumbers }

    func bytes(ofManifest number: UInt64) throws -> [UInt8] {
        let path = "db/\(FileName.manifest(number))"
        return try #require(fileSystem.bytes(ofFile: path, .cached))
    }

    /// What reading gives when these are the bytes of manifest 1.
    static func read(_ bytes: [UInt8]) throws(EngineError) -> ManifestState {
        let fileSystem = SimulatedFileSystem()
        let directory = try StoreDirectory.make(path: "db", in: fileSystem)
        try directory.durableCreate(.manifest(1), contents: bytes)
        return try ManifestReader.read(directory: directory, number: 1, historyID: historyID)
    }

    /// A manifest of records with these operations, right in all but perhaps them.
    static func manifest(
        records: [[UInt8]],
        kind: RecordKind = .data,
        snapshotEnd: UInt64? = nil
    ) -> [UInt8] {
        let frames = ManifestHeader.frames(historyID: historyID, fileNumber: 1)
        var encoder = FrameEncoder()
        var place = FrameEncoder.Place(stream: frames, offset: 4096, syncedThrough: 4096)
        var hash: UInt64 = 0
        var firstEnd: UInt64?
        for (index, record) in records.enumerated() {
            let sequence = UInt64(index) + 1
            let head = RecordHead(
                kind: kind,
                sequence: sequence,
                previousSequence: sequence - 1,
                stamp: 0
            )
            let digest = record.withUnsafeBytes { LogHash.digest($0) }
            let next = LogHash.next(hash, head, digest: digest)
            var buffer = LogBuffer()
            record.withUnsafeBytes {
                buffer.append(head, hashBefore: hash, hash: next, operations: $0, large: nil)
            }
            encoder.encode(buffer, at: &place)
            place.syncedThrough = place.offset
            hash = next
            firstEnd = firstEnd ?? place.offset
        }
        let header = ManifestHeader(
            historyID: historyID,
            memberID: UniqueID(high: 3, low: 4),
            fileNumber: 1,
            snapshotEnd: snapshotEnd ?? firstEnd ?? 4104
        )
        let encoded = header.encoded()
        return Array(encoded.bytes) + Array(encoder.output.bytes)
    }
}
