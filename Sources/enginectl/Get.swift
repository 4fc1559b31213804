internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the value of a key, as it is.",
        discussion: "Example: enginectl --db DIR get user:1"
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The key.") var key: String
    @Flag(help: "The key and the value are lowercase hexadecimal digits.") var hex = false

    func run() throws {
        let engine = try store.openForReading()
        let key = try KeyReader(hex: hex).bytes(key)
        guard let value = try engine.value(for: key) else {
            throw SilentExit(.notFound)
        }
        let output = OutputStream()
        if hex { try output.print(value.hexadecimal) } else { try output.write(value) }
        try output.flush()
    }
}
