import Foundation
import StorageEngine
import Testing

#if canImport(FoundationXML)
import FoundationXML
#endif

/// The contract of `enginedump tree`.
struct TreeDumpTests {
    private let store: SegmentStore

    init() throws { store = try SegmentStore() }

    @Test func thePictureHasABoxForEachSegment() throws {
        let engine = try Engine.open(at: store.path)
        try engine.put([1], for: Array("<a & \"b\">".utf8))
        try engine.put([1], for: [0xff, 0])
        try engine.flush()
        try engine.close()
        let path = store.scratch.path + "/tree.svg"

        let tool = try store.dump("tree", store.path, "--svg", path)

        let picture = try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8)
        let count = try store.names("segment").count
        #expect(tool.status == 0 && tool.lines.last?.hasPrefix("in all: \(count) seg") == true)
        #expect(tool.lines.first?.hasPrefix("level 0: ") == true)
        #expect(picture.components(separatedBy: "<title>").count == count + 1)
        #expect(picture.contains("keys &lt;a &amp; &quot;b&quot;&gt; to 0xff00"))
        #expect(picture.contains("entries, 1 tombstones, 1 range tombstones"))
        #expect(!picture.contains("href") && picture.contains(#"width="1200""#))
        #expect(XMLParser(data: Data(picture.utf8)).parse())
    }

    @Test func aDamagedManifestEndsWithTwoAndAPicture() throws {
        try store.damage(try #require(try store.names("manifest").last), at: 70)
        let path = store.scratch.path + "/tree.svg"

        let tool = try store.dump("tree", store.path, "--svg", path)

        let picture = try String(contentsOf: URL(fileURLWithPath: path), encoding: .utf8)
        #expect(tool.status == 2 && picture.hasSuffix("</svg>\n"))
    }
}
