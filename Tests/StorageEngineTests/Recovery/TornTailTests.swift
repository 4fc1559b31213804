import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What recovery cuts off the end of the log.
@Suite struct TornTailTests {
    @Test func tornBytesAreSavedBeforeTheyGo() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        #expect(try EngineStepper(engine).put("value", for: "key", ack: .wal).code == nil)
        let image = fileSystem.crashed(.all)
        let directory = try StoreDirectory.open(path: "db", in: image)
        let log = try directory.open(.log(1), for: .readWrite)
        let bytes = try log.read(count: 16_384, at: 0)
        let end = try #require(bytes.lastIndex { $0 != 0 }) / 8 * 8 + 8
        let torn = [UInt8](repeating: 0xa5, count: 100)
        try log.writeFully(torn, at: UInt64(end))

        let reopened = try openSimulated(image)

        #expect(reopened.recovery.tornBytes == 100)
        #expect(try contents(reopened) == ["key": "value"])
        let name = "0000000001.log-\(end)-1"
        #expect(image.names(inDirectory: "db/quarantine", .durable) == [name])
        #expect(image.bytes(ofFile: "db/quarantine/\(name)", .durable) == torn)
        #expect(try log.size() <= UInt64(end))
    }

    /// Of three frames that were synced one by one, the second and the third say so of the one
    /// before. Only the last may be a torn write.
    @Test func aBadFrameBeforeOneThatProvesItsSyncIsCorruption() throws {
        let fileSystem = SimulatedFileSystem()
        let engine = try openSimulated(fileSystem)
        let stepper = EngineStepper(engine)
        var lastBytes: [Int] = []
        for number in 0..<3 {
            #expect(try stepper.put("value", for: "\(number)", ack: .disk).code == nil)
            let bytes = fileSystem.bytes(ofFile: "db/0000000001.log", .cached)
            lastBytes.append(try #require(bytes?.lastIndex { $0 != 0 }))
        }
        for (number, offset) in lastBytes.enumerated() {
            let image = fileSystem.crashed(.all)
            let log = try StoreDirectory.open(path: "db", in: image).open(.log(1), for: .readWrite)
            let bytes = try log.read(count: 1, at: UInt64(offset))
            try log.writeFully([bytes[0] ^ 1], at: UInt64(offset))
            if number == 2 {
                #expect(try contents(openSimulated(image)) == ["0": "value", "1": "value"])
            } else {
                let error = #expect(throws: EngineError.self) { try openSimulated(image) }
                #expect(error?.code == .corruption, "frame \(number)")
                #expect(error?.file == "0000000001.log" && error?.offset ?? 0 <= UInt64(offset))
            }
        }
    }
}
