import Foundation
import StorageEngine
import Testing

/// The contract of `enginedump manifest`.
struct ManifestDumpTests {
    private let store: SegmentStore

    init() throws { store = try SegmentStore() }

    private func manifest() throws -> String { try #require(try store.names("manifest").last) }

    @Test func theEditsOfTheNamedManifestAreShown() throws {
        let name = try manifest()
        let json = try store.dump("manifest", store.path, "--format", "json")
        let file = try store.dump("manifest", store.path + "/" + name, "--format", "json")
        let text = try store.dump("manifest", store.path)

        let edits = try json.objects("edit")
        #expect(json.status == 0 && json.output == file.output)
        #expect(
            try json.members("file") == [
                "file", "historyID", "memberID", "number", "offset", "size", "snapshotEnd", "type",
            ]
        )
        #expect(edits.first?["number"] as? Int == 1 && edits.first?["offset"] as? Int == 4096)
        let added = try #require(edits.last?["added"] as? [[String: Any]]).first
        #expect(added?["level"] as? Int == 0 && added?["smallestKey"] as? String == "key1007")
        #expect((edits.last?["flushed"] as? [String: Any])?["sequence"] as? Int == 303)
        #expect(edits.contains { $0["removed"] is [[String: Any]] })
        #expect(text.output.contains("\(name):4096 edit number=1"))
        #expect(text.lines.last?.hasSuffix(" seal") == true)
    }

    @Test func aCheckOfAGoodManifestIsOneLine() throws {
        let edits = try store.dump("manifest", store.path, "--format", "json").objects("edit").count
        let segments = try store.names("segment").count
        let json = try store.dump("manifest", store.path, "--check", "--format", "json")

        #expect(json.status == 0)
        #expect(
            json.lines == [
                #"{"type":"summary","edits":\#(edits),"segments":\#(segments),"torn":false,"#
                    + #""damaged":false}"#
            ]
        )
    }

    @Test func aTornTailIsToldAndIsNoDamage() throws {
        let name = try manifest()
        let seal = try #require(
            try store.dump("manifest", store.path, "--format", "json").objects("seal").first
        )
        let offset = try #require(seal["offset"] as? Int)
        try store.damage(name, at: UInt64(offset) + 2)

        let json = try store.dump("manifest", store.path, "--format", "json")
        let check = try store.dump("manifest", store.path, "--check")

        let gap = try #require(try json.objects("gap").first)
        #expect(json.status == 0 && check.status == 0 && check.output.contains("torn=true"))
        #expect(gap["damage"] as? Bool == false && gap["offset"] as? Int == offset)
        #expect(
            try json.members("gap")
                == ["afterEdit", "damage", "file", "length", "offset", "reason", "type"]
        )
    }

    @Test func aDamagedEditEndsWithTwoBehindTheGoodOnes() throws {
        let edits = try store.dump("manifest", store.path, "--format", "json").objects("edit")
        try #require(edits.count >= 2)
        let offset = try #require(edits[1]["offset"] as? Int)
        try store.damage(try manifest(), at: UInt64(offset) + 20)

        let json = try store.dump("manifest", store.path, "--format", "json")
        let check = try store.dump("manifest", store.path, "--check", "--format", "json")

        #expect(json.status == 2 && check.status == 2)
        #expect(try json.objects("edit").first?["number"] as? Int == 1)
        #expect(try json.objects("gap").first?["damage"] as? Bool == true)
        #expect(try json.objects("gap").first?["offset"] as? Int == offset)
        #expect(check.lines.last?.contains(#""damaged":true"#) == true)
    }

    @Test func aDamagedHeaderIsAnErrorWithItsOffset() throws {
        try store.damage(try manifest(), at: 70)

        let json = try store.dump("manifest", store.path, "--format", "json")

        let error = try #require(try json.objects("error").first)
        #expect(json.status == 2 && json.lines.count == 1)
        #expect(error["code"] as? String == "corruption" && error["offset"] as? Int == 4088)
        #expect(error["file"] as? String == (try manifest()))
    }

    @Test func aMissingManifestIsCorruption() throws {
        try store.remove(try manifest())

        let tool = try store.dump("manifest", store.path)

        #expect(tool.status == 2 && tool.output.contains("STORE names is missing"))
    }

    @Test func noDamagedByteTraps() throws {
        let path = store.path + "/" + (try manifest())
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for offset in stride(from: 4096, to: bytes.count, by: 31) {
            var damaged = bytes
            damaged[offset] ^= 0x41
            try (offset % 2 == 0 ? damaged : bytes.prefix(offset))
                .write(to: URL(fileURLWithPath: path))

            let tool = try store.dump("manifest", path)

            #expect([0, 2].contains(tool.status), "a damaged byte at \(offset)")
        }
    }
}
