import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Damage to any byte of a small store is noticed, or does not matter.
@Suite struct ByteSweepTests {
    @Test func everyFlippedByteGivesRightDataOrATypedError() throws {
        try sweepFlips(SmallStore(), refusalsMin: 1000)
    }

    @Test func everyTruncationGivesRightDataOrATypedError() throws {
        try sweepLengths(SmallStore(), refusalsMin: 1000)
    }

    @Test func everyFlippedByteOfAStoreWithSegmentsGivesRightDataOrATypedError() throws {
        try sweepFlips(SmallStore(withSegments: true), refusalsMin: 2000)
    }

    @Test func everyTruncationOfAStoreWithSegmentsGivesRightDataOrATypedError() throws {
        try sweepLengths(SmallStore(withSegments: true), refusalsMin: 2000)
    }

    private func sweepFlips(_ store: SmallStore, refusalsMin: Int) throws {
        var refusals: [EngineError.Code: Int] = [:]
        var opened = 0
        for file in store.files {
            for offset in 0..<file.size {
                let image = store.fileSystem.crashed(.all)
                try image.change(file.name, at: offset) { $0 ^ UInt8(1 << (offset % 8)) }
                if let code = try store.check(image, "\(file.name), byte \(offset)") {
                    refusals[code, default: 0] += 1
                } else {
                    opened += 1
                }
            }
        }
        #expect(refusals[.corruption, default: 0] > refusalsMin)
        // Damage never looks like another version.
        #expect(refusals[.unsupportedFormat] == nil)
        #expect(opened > 0)
    }

    private func sweepLengths(_ store: SmallStore, refusalsMin: Int) throws {
        var refusals = 0
        for file in store.files {
            for length in 0..<file.size {
                let image = store.fileSystem.crashed(.all)
                try image.truncate(file.name, to: length)
                let code = try store.check(image, "\(file.name), cut to \(length)")
                refusals += code == nil ? 0 : 1
            }
        }
        #expect(refusals > refusalsMin)
    }
}

/// A closed store, and what is in it.
private struct SmallStore {
    let fileSystem = SimulatedFileSystem()
    let files: [(name: String, size: UInt64)]
    private let contents: [[UInt8]: [UInt8]]

    /// Two epochs with several log files and nothing else; or, with segments, two levels of them
    /// with range tombstones, the manifest that names them, and what is behind them in the log.
    init(withSegments: Bool = false) throws {
        var contents: [[UInt8]: [UInt8]] = [:]
        for round in 0..<2 {
            let engine = try Self.open(fileSystem)
            let stepper = EngineStepper(engine)
            if withSegments {
                try Self.fill(stepper, round, &contents)
                let levels = engine.metrics.levelSegments
                try #require(round == 0 || levels.prefix(2).allSatisfy { $0 > 0 }, "\(levels)")
            } else {
                try Self.write(stepper, round, &contents)
            }
            try engine.close()
        }
        self.contents = contents
        let names = fileSystem.names(inDirectory: "db", .cached) ?? []
        let fileSystem = fileSystem
        files = names.map { ($0, fileSystem.size(ofFile: "db/\($0)", .cached) ?? 0) }
        guard withSegments else {
            try #require(names == ["0000000001.log", "0000000002.log", "LOCK", "STORE"])
            return
        }
        for kind in [".log", ".manifest", ".segment"] {
            try #require(names.contains { $0.hasSuffix(kind) }, "\(names)")
        }
    }

    private static func open(_ fileSystem: SimulatedFileSystem) throws(EngineError) -> Engine {
        try openSimulated(fileSystem) { options in
            options.writeBufferSize = 16_384
            options.cacheSize = 0
            options.compaction.level0Count = 3
            options.compaction.segmentSize = 1000
        }
    }

    private static func write(
        _ stepper: EngineStepper,
        _ round: Int,
        _ contents: inout [[UInt8]: [UInt8]]
    ) throws {
        for number in 0..<6 {
            let key = Array("key\(number * (round + 1))".utf8)
            let value = [UInt8](repeating: UInt8(number), count: 20 * number)
            var batch = WriteBatch()
            try batch.put(value, for: key)
            try batch.delete("key\(number + 1)")
            contents[key] = value
            contents[Array("key\(number + 1)".utf8)] = nil
            let outcome = try stepper.complete(stepper.submit(batch, ack: .wal))
            try #require(outcome.code == nil)
        }
    }

    /// Values that shrink to next to nothing: the indexes fill soon, and the files are small.
    private static func fill(
        _ stepper: EngineStepper,
        _ round: Int,
        _ contents: inout [[UInt8]: [UInt8]]
    ) throws {
        for number in 0..<30 {
            let key = Array("key\(number % 10)".utf8)
            let value = [UInt8](repeating: UInt8(number + round), count: 2000)
            var batch = WriteBatch()
            if number % 8 == 7 {
                try batch.deleteRange(KeyRange(from: Array("key2".utf8), to: Array("key4".utf8)))
                contents = contents.filter {
                    !["key2", "key3"].map { Array($0.utf8) }.contains($0.key)
                }
            }
            try batch.put(value, for: key)
            contents[key] = value
            let outcome = try stepper.complete(stepper.submit(batch, ack: .disk))
            try #require(outcome.code == nil)
            for _ in 0..<4 { stepper.work() }
        }
    }

    /// Opens and reads a damaged image: the error's code, or `nil` when everything is there.
    func check(_ image: SimulatedFileSystem, _ what: String) throws -> EngineError.Code? {
        var found: [[UInt8]: [UInt8]] = [:]
        do throws(EngineError) {
            let engine = try Self.open(image)
            var cursor = try engine.makeSnapshot().cursor()
            while try cursor.next() { found[cursor.key.copied] = cursor.value.copied }
            for (key, value) in contents {
                let read = try engine.value(for: key)
                #expect(read == value, "\(what): another value")
            }
        } catch {
            return error.code
        }
        #expect(found == contents, "\(what): other data")
        return nil
    }
}

extension SimulatedFileSystem {
    func change(
        _ name: String,
        at offset: UInt64,
        _ body: (UInt8) -> UInt8
    ) throws {
        let directory = try StoreDirectory.open(path: "db", in: self)
        let file = try directory.open(try #require(FileName(parsing: name)), for: .readWrite)
        let byte = try file.read(count: 1, at: offset)
        try file.writeFully([body(try #require(byte.first))], at: offset)
    }

    func truncate(_ name: String, to length: UInt64) throws {
        let directory = try StoreDirectory.open(path: "db", in: self)
        let file = try directory.open(try #require(FileName(parsing: name)), for: .readWrite)
        try file.truncate(to: length)
    }
}
