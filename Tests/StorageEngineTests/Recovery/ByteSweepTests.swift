import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Damage to any byte of a small store is noticed, or does not matter.
@Suite struct ByteSweepTests {
    @Test func everyFlippedByteGivesRightDataOrATypedError() throws {
        let store = try SmallStore()
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

        #expect(refusals[.corruption, default: 0] > 1000)
        // Damage never looks like another version.
        #expect(refusals[.unsupportedFormat] == nil)
        #expect(opened > 0)
    }

    @Test func everyTruncationGivesRightDataOrATypedError() throws {
        let store = try SmallStore()
        var refusals = 0

        for file in store.files {
            for length in 0..<file.size {
                let image = store.fileSystem.crashed(.all)
                try image.truncate(file.name, to: length)
                let code = try store.check(image, "\(file.name), cut to \(length)")
                refusals += code == nil ? 0 : 1
            }
        }

        #expect(refusals > 1000)
    }
}

/// A closed store of two epochs with several log files, and what is in it.
private struct SmallStore {
    let fileSystem = SimulatedFileSystem()
    let files: [(name: String, size: UInt64)]
    private let contents: [[UInt8]: [UInt8]]

    init() throws {
        var contents: [[UInt8]: [UInt8]] = [:]
        for round in 0..<2 {
            let engine = try openSimulated(fileSystem)
            let stepper = EngineStepper(engine)
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
            try engine.close()
        }
        self.contents = contents
        let names = fileSystem.names(inDirectory: "db", .cached) ?? []
        let fileSystem = fileSystem
        files = names.map { ($0, fileSystem.size(ofFile: "db/\($0)", .cached) ?? 0) }
        try #require(files.map(\.name) == ["0000000001.log", "0000000002.log", "LOCK", "STORE"])
    }

    /// Opens a damaged image: the error's code, or `nil` when everything is there.
    func check(_ image: SimulatedFileSystem, _ what: String) throws -> EngineError.Code? {
        let engine: Engine
        do throws(EngineError) {
            engine = try openSimulated(image)
        } catch {
            return error.code
        }
        var found: [[UInt8]: [UInt8]] = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            found[cursor.key.withUnsafeBufferPointer(Array.init)] =
                cursor.value.withUnsafeBufferPointer(Array.init)
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
