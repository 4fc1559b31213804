internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

/// The command line.
struct EngineCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginectl",
        abstract: "Reads and writes a store.",
        discussion: """
            Examples:
              enginectl --db /var/lib/store put user:1 Ada
              enginectl --db /var/lib/store get user:1
              enginectl --db /var/lib/store import records.tsv
              enginectl --db /var/lib/store export --prefix user: --format json
              enginectl --db /var/lib/store verify
              enginectl --db /var/lib/store compact
              enginectl --db /var/lib/store backup --to /backups/store --keep 7
              enginectl restore --from /backups/store --to /var/lib/store
              enginectl --db /var/lib/store repair
              enginectl --db /var/lib/store salvage --to /var/lib/new

            Only put and import make a store. get, scan, export, stats, verify, slots list,
            salvage, and repair without --apply change nothing; beside a running engine use
            enginedump.

            Exit status: 0 ok, 1 usage, 2 corruption, 3 gap in the log, 4 input or output,
            5 other (locked among them), 6 key not found.
            """,
        version: toolVersion,
        subcommands: [
            Get.self, Put.self, Delete.self, Scan.self, Export.self, Import.self, Stats.self,
            Verify.self, Compact.self, Slots.self, CheckpointCommand.self, Backup.self,
            Restore.self, Repair.self, Salvage.self,
        ]
    )

    /// Not required here: the help of a command is shown without it.
    @Option(help: "The store's directory.")
    var db: String?

    /// The store's directory.
    var path: String {
        get throws {
            guard let db else { throw ToolError("reading the arguments: --db DIR is missing") }
            return db
        }
    }

    /// Opens the store without changing anything.
    func openForReading() throws -> Engine {
        var options = Engine.Options()
        options.readOnly = true
        return try open(options, whenLocked: "locked, use enginedump")
    }

    /// Opens the store for writing.
    func openForWriting(
        createIfMissing: Bool,
        _ limits: MemoryLimits? = nil
    ) throws -> Engine {
        var options = Engine.Options()
        options.createIfMissing = createIfMissing
        try limits?.apply(to: &options)
        return try open(options, whenLocked: "locked by a running engine")
    }

    private func open(_ options: Engine.Options, whenLocked: String) throws -> Engine {
        var options = options
        options.logger = .tool
        let path = try path
        do throws(EngineError) {
            return try Engine.open(at: path, options: options)
        } catch {
            guard error.code == .locked else { throw error }
            throw ToolError("opening the store \(path): \(whenLocked)", exit: .other)
        }
    }
}

/// How keys are given, and keys and values printed.
struct HexOption: ParsableArguments {
    @Flag(help: "Given keys, and printed keys and values, are lowercase hexadecimal digits.")
    var hex = false

    /// The bytes of a given key.
    func key(_ argument: String) throws -> [UInt8] {
        guard hex else { return Array(argument.utf8) }
        guard let bytes = Hexadecimal.bytes(of: argument) else {
            throw ToolError("reading the arguments: with --hex, keys are pairs of digits 0-9, a-f")
        }
        return bytes
    }
}

/// How much of what is written lies in memory and in the log before it goes on to segments.
struct MemoryLimits: ParsableArguments {
    @Option(help: "Bytes of an index in memory before it is flushed; at least 16384.")
    var writeBufferSize: Int?
    @Option(help: "Bytes of a log file before the next one begins; at least 16384.")
    var logFileSize: UInt64?

    func apply(to options: inout Engine.Options) throws {
        let least = 16_384
        guard writeBufferSize ?? least >= least, logFileSize ?? UInt64(least) >= UInt64(least)
        else {
            throw ToolError(
                "reading the arguments: --write-buffer-size and --log-file-size are at least "
                    + "\(least)"
            )
        }
        if let writeBufferSize { options.writeBufferSize = writeBufferSize }
        if let logFileSize { options.logFileSize = logFileSize }
    }
}
