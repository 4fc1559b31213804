import Foundation
import StorageEngine
import Testing

/// A store of three segments and a little log, made through the library.
struct SegmentStore {
    let scratch: ScratchDirectory
    var path: String { scratch.path + "/store" }

    /// 300 keys in level 1 or below; then, in level 0, one of them again, one deleted and a range
    /// delete; then one only in the log.
    init() throws {
        scratch = try ScratchDirectory()
        var options = Engine.Options()
        options.writeBufferSize = 16_384
        let engine = try Engine.open(at: path, options: options)
        for number in 0..<300 {
            try engine.put(Array("value \(number)".utf8), for: Self.key(number))
        }
        try engine.flush()
        try engine.compact()
        try engine.put(Array("again".utf8), for: Self.key(7))
        try engine.delete(Self.key(8))
        try engine.deleteRange(KeyRange(from: Self.key(100), to: Self.key(110)))
        try engine.flush()
        try engine.put(Array("log".utf8), for: Self.key(9))
        try engine.close()
    }

    static func key(_ number: Int) -> [UInt8] { Array("key\(1000 + number)".utf8) }

    func dump(_ arguments: String...) throws -> Tool {
        try Tool("enginedump", arguments, in: scratch)
    }

    /// The names of a kind of file, in order.
    func names(_ ending: String) throws -> [String] {
        try scratch.names(in: "store").filter { $0.hasSuffix("." + ending) }
    }

    func remove(_ name: String) throws {
        try FileManager.default.removeItem(atPath: path + "/" + name)
    }

    func size(_ name: String) throws -> UInt64 {
        let file = try #require(FileHandle(forReadingAtPath: path + "/" + name))
        return try file.seekToEnd()
    }

    /// Changes a byte.
    func damage(_ name: String, at offset: UInt64) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path + "/" + name))
        try file.seek(toOffset: offset)
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: offset)
        try file.write(contentsOf: Data([~byte]))
        try file.close()
    }
}

extension Tool {
    /// The JSON lines of a type.
    func objects(_ type: String) throws -> [[String: Any]] {
        try lines.compactMap { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
            guard let object = object as? [String: Any], object["type"] as? String == type else {
                return nil
            }
            return object
        }
    }

    /// The names of the members of the first JSON line of a type, sorted.
    func members(_ type: String) throws -> [String] {
        try objects(type).first?.keys.sorted() ?? []
    }
}

/// The contract of `enginedump segment`.
struct SegmentDumpTests {
    private let store: SegmentStore

    init() throws { store = try SegmentStore() }

    @Test func aSegmentIsShownVersionByVersion() throws {
        let last = try #require(try store.names("segment").last)
        let tool = try store.dump("segment", store.path + "/" + last, "--format", "json")
        let text = try store.dump("segment", store.path + "/" + last)

        #expect(tool.status == 0 && tool.lines.count == 4)
        #expect(
            try tool.members("segment") == [
                "checksum", "entries", "excludesLargest", "file", "largestKey", "maxSequence",
                "minSequence", "number", "offset", "rangeTombstones", "rawBytes", "size",
                "smallestKey", "storedBytes", "tombstones", "type",
            ]
        )
        #expect(
            tool.lines[1]
                == #"{"type":"entry","file":"\#(last)","offset":0,"sequence":301,"#
                + #""operation":"put","key":"key1007","value":"again"}"#
        )
        #expect(tool.lines[2].hasSuffix(#""sequence":302,"operation":"delete","key":"key1008"}"#))
        #expect(
            tool.lines[3].hasSuffix(
                #""operation":"deleteRange","key":"key1100","upperKey":"key1110"}"#
            )
        )
        #expect(text.lines[0].contains("entries=2 tombstones=1 rangeTombstones=1 minSequence=301"))
        #expect(
            text.lines[1]
                == "\(last):0 entry sequence=301 operation=put key=key1007 value=again"
        )
    }

    @Test func filtersApply() throws {
        func entries(_ arguments: String...) throws -> [String] {
            let all = ["segment", store.path] + arguments
            let tool = try Tool("enginedump", all, in: store.scratch)
            return tool.lines.filter { $0.contains(" entry ") }
        }

        #expect(try entries("--from", "key1007", "--to", "key1009").count == 4)
        #expect(try entries("--prefix", "key10", "--to-seq", "300").count == 100)
        #expect(try entries("--from-seq", "303").count == 1)
        #expect(try entries("--limit", "5").count == 4)
        let hex = try entries("--prefix", "6b657931303037", "--hex", "--no-values")
        #expect(hex.allSatisfy { $0.hasSuffix(" key=6b657931303037") } && hex.count == 2)
    }

    @Test func blocksAreShownWithTheirFirstKeys() throws {
        let tool = try store.dump("segment", store.path, "--blocks", "--format", "json")

        let blocks = try tool.objects("block")
        let kinds = Set(blocks.compactMap { $0["kind"] as? String })
        #expect(tool.status == 0)
        #expect(kinds == ["data", "filter", "index", "ranges", "directory", "properties"])
        #expect(
            try tool.members("block")
                == ["file", "firstKey", "kind", "offset", "rawSize", "size", "type"]
        )
        #expect(blocks[0]["firstKey"] as? String == "key1000")
    }

    @Test func aCheckOfGoodSegmentsIsOneLine() throws {
        let json = try store.dump("segment", store.path, "--check", "--format", "json")
        let text = try store.dump("segment", store.path, "--check")
        let size = try store.names("segment").reduce(0) { try $0 + store.size($1) }
        let count = try store.names("segment").count

        #expect(json.status == 0 && text.status == 0)
        #expect(
            json.lines == [
                #"{"type":"summary","segments":\#(count),"entries":302,"rangeTombstones":1,"#
                    + #""size":\#(size),"damaged":false}"#
            ]
        )
        #expect(
            text.lines == [
                "segments=\(count) entries=302 rangeTombstones=1 size=\(size) damaged=false"
            ]
        )
    }

    @Test func aDamagedBlockIsToldAndTheOthersAreShown() throws {
        let first = try #require(try store.names("segment").first)
        let blocks = try store.dump("segment", store.path + "/" + first, "--blocks")
        let count = blocks.lines.count { $0.contains("block kind=data") }
        try #require(count > 1)
        try store.damage(first, at: 100)

        let tool = try store.dump("segment", store.path + "/" + first, "--format", "json")
        let check = try store.dump("segment", store.path + "/" + first, "--check")

        let errors = try tool.objects("error")
        #expect(tool.status == 2 && errors.count == 1)
        #expect(errors.first?["offset"] as? Int == 0 && errors.first?["file"] as? String == first)
        #expect(errors.first?["code"] as? String == "corruption")
        #expect(try tool.objects("entry").contains { $0["key"] as? String == "key1299" })
        #expect(check.status == 2 && check.output.contains("damaged=true"))
    }

    @Test func aDamagedFooterEndsWithTwo() throws {
        let first = try #require(try store.names("segment").first)
        try store.damage(first, at: try store.size(first) - 30)

        let tool = try store.dump("segment", store.path)

        #expect(tool.status == 2)
        #expect(tool.lines.contains { $0.hasPrefix(first) && $0.contains("wrong checksum") })
        #expect(tool.output.contains("operation=deleteRange"))
    }

    /// Whichever byte is damaged or wherever a file ends, the tool neither traps nor hangs.
    @Test func noDamagedByteTraps() throws {
        let last = try #require(try store.names("segment").last)
        let path = store.path + "/" + last
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for offset in stride(from: 0, to: bytes.count, by: 61) {
            var damaged = bytes
            damaged[offset] ^= 0x41
            try (offset % 2 == 0 ? damaged : bytes.prefix(offset))
                .write(to: URL(fileURLWithPath: path))

            let tool = try store.dump("segment", path, "--check")

            #expect(tool.status == 2, "a damaged byte at \(offset)")
        }
    }
}
