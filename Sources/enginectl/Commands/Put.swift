internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Put: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sets the value of a key; makes the store when there is none.",
        discussion: """
            Examples:
              enginectl --db DIR put user:1 Ada
              enginectl --db DIR put user:1 --value-file ada.json
              generate | enginectl --db DIR put user:1 -
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The key.") var key: String
    @Argument(help: "The value; - reads it from standard input.") var value: String?
    @Option(help: "The file that holds the value; - is standard input.") var valueFile: String?
    @Option(help: "When the put counts as done.") var ack = AckArgument.disk
    @OptionGroup var hex: HexOption

    func validate() throws {
        guard (value == nil) != (valueFile == nil) else {
            throw ValidationError("a put has VALUE, - or --value-file, one of them")
        }
    }

    func run() throws {
        let key = try hex.key(key)
        let value = try bytes()
        let engine = try store.openForWriting(createIfMissing: true)
        try engine.put(value, for: key, ack: ack.point)
        try engine.close()
    }

    private func bytes() throws -> [UInt8] {
        if let value, value != "-" { return Array(value.utf8) }
        let file = try InputFile(path: valueFile ?? "-")
        var bytes: [UInt8] = []
        while try file.read(into: &bytes) {
            guard bytes.count <= Limits.valueSize else {
                throw ToolError(
                    "reading the value from \(file.name): more than \(Limits.valueSize) bytes"
                )
            }
        }
        return bytes
    }
}

struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Removes keys, all at once; those that are not there, too.",
        discussion: """
            Example:
              enginectl --db DIR delete user:1 user:2
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The keys.") var keys: [String]
    @Option(help: "When the delete counts as done.") var ack = AckArgument.disk
    @OptionGroup var hex: HexOption

    func run() throws {
        var batch = WriteBatch()
        for key in keys { try batch.delete(hex.key(key)) }
        let engine = try store.openForWriting(createIfMissing: false)
        try engine.write(batch, ack: ack.point)
        try engine.close()
    }
}
