internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

/// What scan and export have in common.
struct ScanOptions: ParsableArguments {
    @Option(help: "The first key.") var from: String?
    @Option(help: "The key behind the last one.") var to: String?
    @Option(help: "Only keys that begin with this.") var prefix: String?
    @Flag(help: "From the last key to the first.") var reverse = false
    @Option(help: "At most this many entries.") var limit: UInt64?
    @Option(help: "text (TSV) or json (one object a line).") var format = Format.text
    @Flag(help: "Keys and values are lowercase hexadecimal digits.") var hex = false

    func print(_ store: EngineCtl) throws {
        let range = try range()
        let engine = try store.openForReading()
        let output = OutputStream()
        let progress = ProgressLine(unit: "entries")
        var cursor = try engine.makeSnapshot().cursor(in: range)
        var count: UInt64 = 0
        var isOnEntry = try reverse ? cursor.seekToLast() : cursor.seekToFirst()
        while isOnEntry, count < limit ?? .max {
            try print(cursor.key.array, cursor.value.array, to: output)
            count += 1
            progress.update(count)
            isOnEntry = try reverse ? cursor.previous() : cursor.next()
        }
        progress.end()
        try output.flush()
    }

    private func range() throws -> KeyRange {
        let keys = KeyReader(hex: hex)
        let whole = try prefix.map { KeyRange(prefix: try keys.bytes($0)) } ?? .all
        var lower = try from.map(keys.bytes) ?? []
        if lower.lexicographicallyPrecedes(whole.lower) { lower = whole.lower }
        var upper = try to.map(keys.bytes)
        if let bound = whole.upper, !(upper?.lexicographicallyPrecedes(bound) ?? false) {
            upper = bound
        }
        return KeyRange(from: lower, to: upper)
    }

    private func print(_ key: [UInt8], _ value: [UInt8], to output: OutputStream) throws {
        guard format == .text else {
            let line = JSON.object([
                JSON.bytes("key", key, hex: hex), JSON.bytes("value", value, hex: hex),
            ])
            return try output.print(line.text)
        }
        guard !hex else { return try output.print(key.hexadecimal + "\t" + value.hexadecimal) }
        var line: [UInt8] = []
        line.reserveCapacity(key.count + value.count + 2)
        TSV.escape(key, into: &line)
        line.append(UInt8(ascii: "\t"))
        TSV.escape(value, into: &line)
        line.append(UInt8(ascii: "\n"))
        try output.write(line)
    }
}

struct Scan: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints keys and values in key order.",
        discussion: "Example: enginectl --db DIR scan --prefix user: --limit 10"
    )

    @ParentCommand var store: EngineCtl
    @OptionGroup var options: ScanOptions

    func run() throws { try options.print(store) }
}

struct Export: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints keys and values so that import reads them again, byte for byte.",
        discussion: "Example: enginectl --db DIR export > store.tsv"
    )

    @ParentCommand var store: EngineCtl
    @OptionGroup var options: ScanOptions

    func run() throws { try options.print(store) }
}
