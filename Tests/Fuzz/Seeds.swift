import Glibc
import Logging
import StorageEngineTestSupport
import ToolSupport

@testable import StorageEngine

/// Real bytes of every kind, from a store that was written, flushed, compacted and closed: where a
/// fuzzer begins.
///
/// The store is on a simulated disk and draws from a seed, so that the bytes are always the same.
struct Seeds {
    private let fileSystem = SimulatedFileSystem()
    private let directory: StoreDirectory
    private let mark: StoreMark

    init() throws {
        let engine = try Self.open(fileSystem)
        try Self.fill(engine)
        try engine.close()
        directory = try StoreDirectory.open(path: "db", in: fileSystem)
        let bytes = try directory.open(.store, for: .read).read(count: 200, at: 0)
        mark = try bytes.withUnsafeBytes { try StoreMark(decoding: $0) }
    }

    private static func open(_ fileSystem: SimulatedFileSystem) throws -> Engine {
        var options = Engine.Options()
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.compaction.segmentSize = 8_000
        options.compaction.levelBaseSize = 30_000
        options.logger = Logger(label: "seeds") { _ in SwiftLogNoOpLogHandler() }
        let seed = SeededGenerator(seed: 1)
        return try Engine.open(
            at: "db",
            options: options,
            environment: Environment(
                fileSystem: fileSystem,
                time: SimulatedClock(),
                entropy: {
                    var generator = seed
                    return generator.next()
                },
                startsThreads: false
            )
        )
    }

    /// Batches of all operations, small values that do not shrink and long ones that do.
    private static func fill(_ engine: Engine) throws {
        let stepper = EngineStepper(engine)
        var generator = SeededGenerator(seed: 2)
        for number in 0..<400 {
            var batch = WriteBatch()
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let key = Array("key\(Int.random(in: 0..<150, using: &generator))".utf8)
                let size = number % 10 == 0 ? 900 : Int.random(in: 0..<20, using: &generator)
                let first = UInt8.random(in: 0...255, using: &generator)
                try batch.put((0..<size).map { first &+ UInt8($0 & 255 / 9) }, for: key)
            }
            try batch.delete(Array("key\(number % 150)".utf8))
            if number % 20 == 7 {
                try batch.deleteRange(KeyRange(from: Array("key3".utf8), to: Array("key4".utf8)))
            }
            if number == 200 { try batch.put([UInt8](repeating: 7, count: 70_000), for: [0]) }
            let write = stepper.submit(batch, ack: AckPoint.allCases[number % 3])
            while stepper.outcome(of: write) == nil { work(stepper) }
        }
    }

    private static func work(_ stepper: EngineStepper) {
        for actor in EngineStepper.Actor.allCases {
            guard let unit = stepper.take(actor) else { continue }
            stepper.perform(unit)
            stepper.finish(unit)
        }
    }

    // MARK: - Output

    /// The most seeds of a kind, and bytes of one.
    private static let countMax = 40
    private static let sizeMax = 40_000

    func write(to path: String) throws {
        var seeds: [String: Set<[UInt8]>] = [:]
        func note(_ decoder: any FuzzedDecoder.Type, _ bytes: [UInt8]) {
            guard bytes.count <= Self.sizeMax else { return }
            seeds[decoder.name, default: []].insert(bytes)
        }
        note(StoreMarkDecoder.self, try bytes(of: .store))
        try noteFrames(of: .manifest(mark.manifest), mark.historyID, note)
        for name in try directory.list().known {
            switch name {
            case .log: try noteFrames(of: name, mark.historyID, note)
            case .segment(let number): try noteBlocks(of: number, note)
            default: break
            }
        }
        noteLines(note)
        try notePacks(note)
        for seed in WireStreamDecoder.seeds { note(WireStreamDecoder.self, seed) }
        for decoder in Decoders.all {
            let found = (seeds[decoder.name] ?? []).sorted { $0.count < $1.count }
            precondition(!found.isEmpty, "\(decoder.name) has a seed")
            // The shortest, and some of any size.
            let step = max(1, found.count / Self.countMax)
            let chosen = stride(from: 0, to: found.count, by: step).map { found[$0] }
            try write(chosen, to: "\(path)/\(decoder.name)")
        }
    }

    private func write(_ seeds: [[UInt8]], to folder: String) throws {
        mkdir(folder, 0o700)
        for (index, seed) in seeds.enumerated() {
            guard let file = fopen("\(folder)/seed-\(index)", "w") else {
                throw SimulationFailure("writing to \(folder): errno \(errno)")
            }
            defer { fclose(file) }
            precondition(fwrite(seed, 1, seed.count, file) == seed.count)
        }
    }

    private func bytes(of name: FileName) throws -> [UInt8] {
        let file = try directory.open(name, for: .read)
        return try file.read(count: Int(file.size()), at: 0)
    }

    // MARK: - Kinds

    private typealias Note = (any FuzzedDecoder.Type, [UInt8]) -> Void

    /// The file, its frames' headers, its records and operations, or the edits that they are.
    private func noteFrames(of name: FileName, _ historyID: UniqueID, _ note: Note) throws {
        let file = try directory.open(name, for: .read)
        let all = try bytes(of: name)
        let head = Array(all[..<LogFormat.headerSize])
        let stream: FrameStream
        var isManifest = false
        if case .manifest(let number) = name {
            isManifest = true
            stream = ManifestHeader.frames(historyID: historyID, fileNumber: number)
        } else {
            stream = try head.withUnsafeBytes { bytes in
                try LogFileHeader(decoding: bytes, file: file.name).frames
            }
        }
        let reader = LogReader(file: file, frames: stream, limit: UInt64(all.count))
        var record: [UInt8] = []
        while try reader.next({ head, operations throws(EngineError) in
            let bytes = Array(operations)
            note(isManifest ? EditDecoder.self : OperationsDecoder.self, bytes)
            record = Self.encoded(head, bytes)
            if !isManifest { note(RecordDecoder.self, record) }
        }) {
            let start = Int(reader.frameOffset)
            note(FrameHeaderDecoder.self, Array(all[start..<start + Int(all[start + 4])]))
        }
        let whole = FramedFile.input(Array(all[..<Int(reader.offset)]))
        note(isManifest ? ManifestDecoder.self : LogFileDecoder.self, whole)
    }

    private static func encoded(_ head: RecordHead, _ operations: [UInt8]) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: RecordHead.encodedSizeMax)
        let size = target.withUnsafeMutableBytes { target in
            target.baseAddress.map {
                head.encode(to: $0, previousStamp: 1 << 40, operationsSize: operations.count)
            }
        }
        return target.prefix(size ?? 0) + operations
    }

    /// The file, and its blocks as they are and uncompressed.
    private func noteBlocks(of number: UInt64, _ note: Note) throws {
        let name = FileName.segment(number)
        let all = try bytes(of: name)
        note(SegmentDecoder.self, all)
        let footer = try Segment.footer(of: directory.open(name, for: .read))
        let seed = SegmentFormat.seed(historyID: footer.historyID, fileNumber: number)
        var blocks: [(kind: BlockKind, handle: BlockHandle)] = []
        for section in footer.sections {
            guard let kind = BlockKind(rawValue: UInt8(section.kind)) else { continue }
            blocks.append((kind, section.handle))
        }
        let end = blocks.map(\.handle.offset).min() ?? 0
        for (kind, handle) in blocks where kind == .directory {
            let payload = try payload(all, kind, handle, seed)
            let directory = payload.withUnsafeBytes { SegmentDirectory(decoding: $0, end: end) }
            guard let directory else { continue }
            for number in 0..<directory.count {
                blocks += try partition(directory[number], all, seed)
            }
        }
        for (kind, handle) in blocks {
            let start = Int(handle.offset)
            note(StoredBlockDecoder.self, Array(all[start..<start + handle.size]))
            let payload = try payload(all, kind, handle, seed)
            let head = [UInt8](repeating: 0, count: 12) + [kind.rawValue, 0, 0, 0]
            note(StoredBlockDecoder.self, head + payload)
        }
    }

    private func partition(
        _ partition: SegmentPartition,
        _ file: [UInt8],
        _ seed: UInt64
    ) throws -> [(kind: BlockKind, handle: BlockHandle)] {
        var blocks: [(kind: BlockKind, handle: BlockHandle)] = [(.index, partition.index)]
        if let filter = partition.filter { blocks.append((.filter, filter)) }
        let payload = try payload(file, .index, partition.index, seed)
        let index = payload.withUnsafeBytes { SegmentIndex(decoding: $0, of: partition.data) }
        if let index { blocks += (0..<index.count).map { (.data, index.handle($0)) } }
        return blocks
    }

    private func payload(
        _ file: [UInt8],
        _ kind: BlockKind,
        _ handle: BlockHandle,
        _ seed: UInt64
    ) throws -> [UInt8] {
        try file.withUnsafeBytes { bytes in
            let payload = try BlockDecoder.decode(
                bytes[in: Int(handle.offset), handle.size],
                kind,
                at: handle.offset,
                seed: seed,
                file: "segment"
            )
            defer { payload.deallocate() }
            return Array(payload)
        }
    }

    /// The log in packs, a few at a time, some of them parts of a record.
    private func notePacks(_ note: Note) throws {
        for name in try directory.list().known {
            guard case .log = name else { continue }
            let file = try directory.open(name, for: .read)
            let head = try file.read(count: LogFormat.headerSize, at: 0)
            let header = try head.withUnsafeBytes { bytes in
                try LogFileHeader(decoding: bytes, file: file.name)
            }
            var encoder = PackEncoder(
                historyID: mark.historyID,
                sizeMax: PackRowDecoder.sizeMax
            )
            let before = header.predecessor
            encoder.begin(
                header.epoch,
                startsEpoch: header.startsEpoch,
                after: before.lastSequence,
                logHash: before.logHash
            )
            var packs: [[UInt8]] = []
            let reader = LogReader(file: file, frames: header.frames, limit: try file.size())
            while try reader.next({ head, operations throws(EngineError) in
                encoder.add(head, operations) { packs.append($0.copied) }
            }) {}
            encoder.finish { packs.append($0.copied) }
            for start in stride(from: 0, to: packs.count, by: 3) {
                note(PackRowDecoder.self, PackRowDecoder.input(Array(packs[start...].prefix(3))))
            }
            note(PackRowDecoder.self, PackRowDecoder.input(packs))
        }
    }

    private func noteLines(_ note: Note) {
        let values: [[UInt8]] = [
            [], Array("value".utf8), Array("a\tb\\c\nd\r".utf8), [0, 0xff, 0x80], Array("ä😀".utf8),
        ]
        for key in values {
            for value in values {
                var line: [UInt8] = []
                TSV.append(key, to: &line)
                line.append(0x09)
                TSV.append(value, to: &line)
                note(TSVDecoder.self, line)
                let members = [
                    JSON.member("key", bytes: key), JSON.member("value", bytes: value),
                ]
                note(NDJSONDecoder.self, Array(JSON.object(members).text.utf8))
            }
        }
        let others = [
            #"{"id":12.5e-3,"a":[1,{"b":null}],"c":true,"key":"k","value":"\u00e4\ud83d\ude00"}"#,
            #" { "key" : "a\/b" , "valueBase64" : "AAE=" } "#,
        ]
        for line in others { note(NDJSONDecoder.self, Array(line.utf8)) }
    }
}
