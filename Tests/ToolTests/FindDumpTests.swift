import Foundation
import StorageEngine
import Testing

/// The contract of `enginedump find` in segments.
struct FindDumpTests {
    private let store: SegmentStore

    init() throws {
        store = try SegmentStore()
        // Another log file, so that those that were flushed are not needed any more.
        for key in [9, 105] {
            let engine = try Engine.open(at: store.path)
            try engine.put(Array("new".utf8), for: SegmentStore.key(key))
            try engine.flush()
            try engine.close()
        }
    }

    @Test func versionsInSegmentsAreShownTheOldestFirst() throws {
        let json = try store.dump("find", store.path, "key1105", "--format", "json")

        let entries = try json.objects("entry")
        #expect(json.status == 0)
        #expect(
            try json.members("entry") == [
                "file", "key", "level", "offset", "operation", "sequence", "type", "value",
            ]
        )
        #expect(entries.compactMap { $0["sequence"] as? Int } == [106, 303, 306])
        #expect(
            entries.compactMap { $0["operation"] as? String } == ["put", "deleteRange", "put"]
        )
        #expect(entries.last?["value"] as? String == "new" && entries.last?["level"] as? Int == 0)
        #expect(entries.first?["level"] as? Int != 0)
    }

    @Test func logAndSegmentsAreInOneOrder() throws {
        let engine = try Engine.open(at: store.path)
        try engine.put(Array("last".utf8), for: SegmentStore.key(9))
        try engine.close()

        let text = try store.dump("find", store.path, "key1009")

        #expect(text.status == 0)
        #expect(text.lines.first?.contains("operation=put key=key1009 value=value 9") == true)
        #expect(text.lines.last?.contains(" record sequence=307 ") == true)
    }

    @Test func aMissEndsWithSix() throws {
        let tool = try store.dump("find", store.path, "nothing")

        #expect(tool.status == 6 && tool.output.isEmpty)
    }

    @Test func damageEndsWithTwoAndShowsTheRest() throws {
        let first = try #require(try store.names("segment").first)
        try store.damage(first, at: 100)

        let json = try store.dump("find", store.path, "key1007", "--format", "json")

        #expect(json.status == 2)
        #expect(try json.objects("error").first?["file"] as? String == first)
        #expect(try json.objects("entry").contains { $0["value"] as? String == "again" })
    }
}
