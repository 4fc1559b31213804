import Glibc
import StorageEngine
import StorageEngineTestSupport
import Testing

@Suite struct ReadmeExampleTests {
    @Test func theExampleRuns() throws {
        let directory = TemporaryDirectory()

        let names = try example(path: directory.path + "/store")

        #expect(names == ["Ada", "Edsger", "Barbara"])
    }

    @Test func theReadmeShowsWhatRuns() throws {
        let source = try #require(text(of: #filePath))
        let readme = try #require(text(of: root + "/README.md"))

        let shown = lines(of: readme, from: "import StorageEngine", to: "```")
        let run = lines(of: source, from: "// Example begins", to: "// Example ends")

        #expect(run.count > 15)
        #expect(Array(shown.drop { $0.isEmpty }) == run)
    }

    private func example(path: String) throws -> [String] {
        var names: [String] = []
        // Example begins
        let engine = try Engine.open(at: path)
        try engine.put("Ada", for: "user:1", ack: .disk)  // survives power loss
        try engine.put("Grace", for: "user:2", ack: .wal)  // survives the death of the process
        let receipt = try engine.put("Edsger", for: "user:3", ack: .memory)  // survives a close

        var batch = WriteBatch()
        try batch.put("Barbara", for: "user:4")
        try batch.delete("user:2")
        try engine.write(batch, ack: .wal)  // all of it or nothing
        try receipt.reached(.disk)  // and now this one survives power loss too

        let snapshot = try engine.makeSnapshot()
        var users = try snapshot.cursor(in: KeyRange(prefix: Array("user:".utf8)))
        while try users.next() {
            let name = users.value.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
            names.append(name)
        }
        try engine.close()
        // Example ends
        return names
    }

    private var root: String {
        #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()
    }

    /// The lines between two markers, without the indentation of the first.
    private func lines(of text: String, from first: String, to end: String) -> [String] {
        let all = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let begin = all.firstIndex { $0.hasSuffix(first) && !$0.contains("\"") } ?? all.endIndex
        let found = all.dropFirst(begin + 1).prefix { !$0.hasSuffix(end) }
        let indent = found.first { !$0.isEmpty }?.prefix { $0 == " " }.count ?? 0
        return found.map { String($0.dropFirst(indent)) }
    }

    private func text(of path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = getc(file), byte != EOF { bytes.append(UInt8(byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
