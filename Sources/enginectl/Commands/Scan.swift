internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Scan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints keys and values in key order.",
        discussion: """
            Text is a line an entry: key TAB value, with \\\\ \\t \\n \\r for backslash,
            TAB, LF and CR.

            Examples:
              enginectl --db DIR scan --prefix user: --limit 10
              enginectl --db DIR scan --from a --to b --reverse --format json
            """
    )

    @ParentCommand var store: EngineCtl
    @OptionGroup var listing: Listing

    func run() throws { try listing.print(store) }
}

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints keys and values so that import takes them back, byte for byte.",
        discussion: """
            Examples:
              enginectl --db DIR export > store.tsv
              enginectl --db DIR export --format json > store.ndjson
            """
    )

    @ParentCommand var store: EngineCtl
    @OptionGroup var listing: Listing

    func run() throws { try listing.print(store) }
}

/// Which entries are printed, and how.
struct Listing: ParsableArguments {
    @Option(help: "The first key.") var from: String?
    @Option(help: "The key behind the last one.") var to: String?
    @Option(help: "Only keys that begin so.") var prefix: String?
    @Flag(help: "From the last key to the first.") var reverse = false
    @Option(help: "At most so many entries.") var limit: UInt64?
    @Option(help: "text: tab-separated; json: an object a line.") var format = OutputFormat.text
    @OptionGroup var hex: HexOption

    func print(_ store: EngineCtl) throws {
        let range = try range()
        let engine = try store.openForReading()
        var cursor = try engine.makeSnapshot().cursor(in: range)
        var output = OutputWriter()
        var progress = ToolProgress("entries")
        var count: UInt64 = 0
        while count < limit ?? .max {
            guard try count == 0 ? begin(&cursor) : move(&cursor) else { break }
            try print(cursor, to: &output)
            count += 1
            progress.note(count)
        }
        progress.end()
        try output.flush()
    }

    private func begin(_ cursor: inout Cursor) throws -> Bool {
        try reverse ? cursor.seekToLast() : cursor.seekToFirst()
    }

    private func move(_ cursor: inout Cursor) throws -> Bool {
        try reverse ? cursor.previous() : cursor.next()
    }

    /// What the bounds and the prefix have in common.
    private func range() throws -> KeyRange {
        let bounds = try prefix.map { KeyRange(prefix: try hex.key($0)) } ?? .all
        var lower = try from.map(hex.key) ?? []
        if lower.lexicographicallyPrecedes(bounds.lower) { lower = bounds.lower }
        guard let end = try to.map(hex.key) else { return KeyRange(from: lower, to: bounds.upper) }
        let isInside = bounds.upper.map { end.lexicographicallyPrecedes($0) } ?? true
        return KeyRange(from: lower, to: isInside ? end : bounds.upper)
    }

    private func print(_ cursor: borrowing Cursor, to output: inout OutputWriter) throws {
        switch format {
        case .json:
            output.buffer.append(UInt8(ascii: "{"))
            output.buffer.append(member: "key", bytes: cursor.key, hex: hex.hex)
            output.buffer.append(UInt8(ascii: ","))
            output.buffer.append(member: "value", bytes: cursor.value, hex: hex.hex)
            output.buffer.append(UInt8(ascii: "}"))
        case .text where hex.hex:
            Hexadecimal.append(cursor.key, to: &output.buffer)
            output.buffer.append(UInt8(ascii: "\t"))
            Hexadecimal.append(cursor.value, to: &output.buffer)
        case .text:
            TSV.append(cursor.key, to: &output.buffer)
            output.buffer.append(UInt8(ascii: "\t"))
            TSV.append(cursor.value, to: &output.buffer)
        }
        try output.endLine()
    }
}
