internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Puts the records of a file; makes the store when there is none.",
        discussion: """
            TSV: key TAB value, with \\\\ \\t \\n \\r for backslash, TAB, LF and CR.
            NDJSON: {"key","value"} as export prints them, or any object with --key-field;
            the whole line is the value then.

            SIGINT and SIGTERM end the import behind the record in hand, with exit 5. What
            was acked stays, whatever ends the import.

            Examples:
              enginectl --db DIR import records.tsv
              enginectl --db DIR import events.ndjson --key-field id --batch-size 100
              zcat dump.tsv.gz | enginectl --db DIR import - --ack disk --format json
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The file; - is standard input.") var file = "-"
    @Option(help: "Default: by the file's ending, .tsv, .ndjson or .jsonl; else tsv.")
    var inputFormat: InputFormat?
    @Option(help: "TSV: the number of the key's field, from 1. NDJSON: the key's member.")
    var keyField: String?
    @Option(help: "When a put counts as done.") var ack = AckArgument.wal
    @Option(help: "Records a batch, which is written as a whole or not at all.")
    var batchSize: UInt64 = 1
    @Option(help: "Leave out so many records at the beginning.") var skip: UInt64 = 0
    @OptionGroup var limits: MemoryLimits
    @Option(help: "text: a line at the end; json: an object for at most 1,000 acked records.")
    var format = OutputFormat.text

    func validate() throws {
        guard batchSize >= 1 else { throw ValidationError("--batch-size is at least 1") }
        guard batchSize <= 1 << 32 else { throw ValidationError("--batch-size is too large") }
    }

    func run() throws {
        let parser = try RecordParser(resolvedFormat, keyField: keyField)
        let input = try InputFile(path: file)
        var lines = LineReader(input)
        try Interruption.watch()
        let engine = try store.openForWriting(createIfMissing: true, limits)
        let importer = Importer(
            engine,
            Importer.Settings(ack: ack.point, batchSize: batchSize, format: format)
        )
        do {
            try importer.run(&lines, parser, skip: skip)
        } catch is OutputClosed {
            // Nobody listens; but not all was imported.
            try engine.close()
            throw SilentExit(.other)
        } catch {
            try importer.report()
            try engine.close()
            throw error
        }
        try engine.close()
        try importer.report()
        guard !Interruption.isRequested else {
            throw ToolError("importing \(input.name): interrupted", exit: .other)
        }
    }

    private var resolvedFormat: InputFormat {
        let isNDJSON = [".ndjson", ".jsonl"].contains { file.hasSuffix($0) }
        return inputFormat ?? (isNDJSON ? .ndjson : .tsv)
    }
}

extension InputFormat: ExpressibleByArgument {}
