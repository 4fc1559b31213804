internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Get: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints the value of a key, as it is.",
        discussion: """
            Examples:
              enginectl --db DIR get user:1 > ada.json
              enginectl --db DIR get --hex 757365723a31
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The key.") var key: String
    @OptionGroup var hex: HexOption
    @Option(help: "text: the bytes alone; json: key and value.") var format = OutputFormat.text

    func run() throws {
        let key = try hex.key(key)
        let engine = try store.openForReading()
        guard let value = try engine.value(for: key) else {
            throw ToolError(
                "getting the value, store \(engine.path): no such key",
                exit: .keyNotFound
            )
        }
        switch format {
        case .json:
            let members = [
                JSON.member("key", bytes: key, hex: hex.hex),
                JSON.member("value", bytes: value, hex: hex.hex),
            ]
            try ToolOutput.print(JSON.object(members).text)
        case .text where hex.hex: try ToolOutput.print(Hexadecimal.text(of: value))
        case .text: try ToolOutput.write(value)
        }
    }
}
