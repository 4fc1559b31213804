import FoundationEssentials

/// A file of JSON with what was counted, which may be the sum of many sittings and programs.
package struct CountsFile {
    private struct Contents: Codable {
        /// What was run, in order.
        var runs: [String] = []
        var counts: [String: [String: Int]] = [:]
    }

    private let path: String

    package init(path: String) { self.path = path }

    /// Adds counts to those that are there; makes the file when there is none.
    package func add(_ added: Tally, _ runs: [String]) throws {
        let url = URL(filePath: path)
        var contents = Contents()
        if let data = try? Data(contentsOf: url) {
            contents = try JSONDecoder().decode(Contents.self, from: data)
        }
        var sum = Tally(contents.counts)
        sum += added
        contents.counts = sum.counts
        contents.runs += runs
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try encoder.encode(contents).write(to: url, options: .atomic)
    }
}
