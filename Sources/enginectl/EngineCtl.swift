internal import ArgumentParser
internal import Logging
internal import StorageEngine
internal import ToolSupport

struct EngineCtl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginectl",
        abstract: "Reads and writes a store.",
        discussion: """
            Examples:
              enginectl --db /var/lib/store put user:1 Ada
              enginectl --db /var/lib/store get user:1
              enginectl --db /var/lib/store import records.tsv --ack wal
              enginectl --db /var/lib/store export --prefix user: --format json

            get, scan, export, stats and verify change nothing, and work beside each other.
            Exit status: 0 ok, 1 usage, 2 corruption, 3 gap, 4 input or output, 5 other (locked
            among them), 6 key not found.
            """,
        version: toolVersion,
        subcommands: [
            Get.self, Put.self, Delete.self, Scan.self, Export.self, Import.self, Stats.self,
            Verify.self,
        ]
    )

    @Option(help: "The store's directory.")
    var db: String

    /// Opens the store for reading: nothing is made or repaired.
    func openForReading() throws -> Engine { try open { $0.readOnly = true } }

    /// Opens the store for writing.
    func openForWriting(createIfMissing: Bool) throws -> Engine {
        try open { $0.createIfMissing = createIfMissing }
    }

    private func open(_ adjust: (inout Engine.Options) -> Void) throws -> Engine {
        var options = Engine.Options()
        options.logger = Logger(label: "enginectl") { StreamLogHandler.standardError(label: $0) }
        options.logger.logLevel = .warning
        adjust(&options)
        do {
            return try Engine.open(at: db, options: options)
        } catch {
            guard error.code == .locked else { throw error }
            throw ToolError(
                "opening \(db): locked by a running engine; use enginedump to look at its files",
                exit: .other
            )
        }
    }
}

/// How a command prints.
enum Format: String, ExpressibleByArgument {
    case text, json
}

/// A key given on the command line.
struct KeyReader {
    let hex: Bool

    /// The bytes of an argument: its UTF-8, or what its hexadecimal digits stand for.
    func bytes(_ argument: String) throws -> [UInt8] {
        guard hex else { return Array(argument.utf8) }
        guard let bytes = [UInt8](hexadecimal: argument) else {
            throw ToolError("reading the key \(argument): not lowercase hexadecimal digits")
        }
        return bytes
    }
}

extension Span where Element == UInt8 {
    var array: [UInt8] { unsafe withUnsafeBufferPointer { unsafe Array($0) } }
}
