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
            A range is one operation, however many keys there are.

            Examples:
              enginectl --db DIR delete user:1 user:2
              enginectl --db DIR delete --prefix session:
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The keys.") var keys: [String] = []
    @OptionGroup var bounds: KeyBounds
    @Option(help: "When the delete counts as done.") var ack = AckArgument.disk
    @OptionGroup var hex: HexOption

    func run() throws {
        let range = try bounds.range(hex)
        guard range != nil || !keys.isEmpty else {
            throw ToolError("reading the arguments: a delete has keys, or bounds, or both")
        }
        var batch = WriteBatch()
        if let range { try batch.deleteRange(range) }
        for key in keys { try batch.delete(hex.key(key)) }
        let engine = try store.openForWriting(createIfMissing: false)
        try engine.write(batch, ack: ack.point)
        try engine.close()
    }
}
