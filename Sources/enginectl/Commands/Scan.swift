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
    @OptionGroup var bounds: KeyBounds
    @Flag(help: "From the last key to the first.") var reverse = false
    @Option(help: "At most so many entries.") var limit: UInt64?
    @Option(help: "text: tab-separated; json: an object a line.") var format = OutputFormat.text
    @OptionGroup var hex: HexOption

    func print(_ store: EngineCtl) throws {
        let range = try bounds.range(hex) ?? .all
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

/// Which keys are meant.
struct KeyBounds: ParsableArguments {
    @Option(help: "The first key.") var from: String?
    @Option(help: "The key behind the last one.") var to: String?
    @Option(help: "Only keys that begin so.") var prefix: String?

    /// What the bounds and the prefix have in common; `nil` when none is given.
    func range(_ hex: HexOption) throws -> KeyRange? {
        guard from != nil || to != nil || prefix != nil else { return nil }
        let bounds = try prefix.map { KeyRange(prefix: try hex.key($0)) } ?? .all
        return bounds.intersection(
            KeyRange(from: try from.map(hex.key) ?? [], to: try to.map(hex.key))
        )
    }
}
