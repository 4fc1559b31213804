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
}
