internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract:
            "Puts the records of a file or of standard input; makes the store when there is none.",
        discussion: """
            TSV: key TAB value, with \\\\, \\t, \\n and \\r for backslash, TAB, LF and CR.
            NDJSON: {"key","value"} as export prints, or any object with --key-field.

            Examples:
              enginectl --db DIR import records.tsv
              enginectl --db DIR import events.ndjson --key-field id --batch-size 100
              zcat dump.gz | enginectl --db DIR import - --ack disk --format json

            SIGINT and SIGTERM end the import after the record in hand, with exit status 5.
            """
    )

    enum InputFormat: String, ExpressibleByArgument {
        case tsv, ndjson
    }

    @ParentCommand var store: EngineCtl
    @Argument(help: "The file; - is standard input.") var file = "-"
    @Option(help: "tsv or ndjson; by the file's ending otherwise, else tsv.")
    var inputFormat: InputFormat?
    @Option(help: "TSV: the number of the field that is the key, from 1. NDJSON: a member's name.")
    var keyField: String?
    @Option(help: "memory, wal or disk.") var ack = Ack.wal
    @Option(help: "Records to a batch, which is written as a whole.") var batchSize = 1
    @Option(help: "Ignore this many records first.") var skip: UInt64 = 0
    @Option(help: "text or json, of what is printed.") var format = Format.text

    func validate() throws {
        guard batchSize >= 1 else { throw ValidationError("--batch-size is at least 1") }
    }

    func run() throws {
        let lines = try LineReader(path: file)
        let parser = try RecordParser(format: resolvedFormat, keyField: keyField)
        Interruption.watch()
        let engine = try store.openForWriting(createIfMissing: true)
        let importer = Importer(engine, ack: ack.point, batchSize: batchSize, format: format)
        do {
            try importer.run(lines, parser, skip: skip)
        } catch {
            // What was acknowledged stays, and is told.
            try engine.close()
            try importer.report()
            throw error
        }
        try engine.close()
        try importer.report()
        if Interruption.isRequested { throw ToolError("interrupted", exit: .other) }
    }

    private var resolvedFormat: InputFormat {
        if let inputFormat { return inputFormat }
        return [".ndjson", ".jsonl", ".json"].contains { file.hasSuffix($0) } ? .ndjson : .tsv
    }
}

/// Turns lines into keys and values.
struct RecordParser {
    private enum Source {
        case fields(key: Int)
        case entry
        case member(String)
    }

    private let source: Source

    init(format: Import.InputFormat, keyField: String?) throws {
        switch format {
        case .tsv:
            guard let number = Int(keyField ?? "1"), number >= 1 else {
                throw ToolError(
                    "reading the arguments: --key-field \(keyField ?? "") of TSV is a number from 1"
                )
            }
            source = .fields(key: number - 1)
        case .ndjson: source = keyField.map(Source.member) ?? .entry
        }
    }

    /// The record of a line.
    func record(_ line: [UInt8], number: Int) throws -> (key: [UInt8], value: [UInt8]) {
        switch source {
        case .fields(let key): return try fields(line, key: key, number: number)
        case .entry: return try entry(line, number: number)
        case .member(let name):
            switch try members(line, [name], number: number)[name] {
            case .string(let key), .number(let key): return (key, line)
            default: throw failure(number, "no member \(name) that is a string or a number")
            }
        }
    }

    private func failure(_ number: Int, _ what: String) -> ToolError {
        ToolError("reading the input, line \(number): \(what)")
    }

    private func fields(
        _ line: [UInt8],
        key: Int,
        number: Int
    ) throws -> (key: [UInt8], value: [UInt8]) {
        var fields = line.split(separator: UInt8(ascii: "\t"), omittingEmptySubsequences: false)
        guard key < fields.count else {
            throw failure(number, "\(fields.count) fields, the key is field \(key + 1)")
        }
        let keyField = fields.remove(at: key)
        let rest = Array(fields.joined(separator: CollectionOfOne(UInt8(ascii: "\t"))))
        guard let key = TSV.unescape(keyField), let value = TSV.unescape(rest[...]) else {
            throw failure(number, "an escape other than \\\\ \\t \\n \\r")
        }
        return (key, value)
    }

    private func members(
        _ line: [UInt8],
        _ names: Set<String>,
        number: Int
    ) throws -> [String: JSONScanner.Member] {
        var scanner = JSONScanner(line)
        do throws(JSONScanner.Failure) {
            return try scanner.members(names)
        } catch {
            throw failure(number, error.message)
        }
    }

    private func entry(_ line: [UInt8], number: Int) throws -> (key: [UInt8], value: [UInt8]) {
        let names: Set = ["key", "keyBase64", "value", "valueBase64"]
        let found = try members(line, names, number: number)
        guard let key = bytes(found, "key"), let value = bytes(found, "value") else {
            throw failure(number, "no key and value")
        }
        return (key, value)
    }

    private func bytes(_ found: [String: JSONScanner.Member], _ name: String) -> [UInt8]? {
        if case .string(let text) = found[name + "Base64"] {
            return [UInt8](base64: String(decoding: text, as: UTF8.self))
        }
        if case .string(let text) = found[name] { return text }
        return nil
    }
}
