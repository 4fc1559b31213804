internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Compact: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Flushes what is in memory, and merges segments down to the deepest level.",
        discussion: """
            Gives the space of deleted and overwritten values back.

            Examples:
              enginectl --db DIR compact
              enginectl --db DIR compact --from user: --to user;
            """
    )

    @ParentCommand var store: EngineCtl
    @OptionGroup var bounds: KeyBounds
    @OptionGroup var hex: HexOption
    @Option(help: "text: a line a figure; json: one object.") var format = OutputFormat.text

    func run() throws {
        let range = try bounds.range(hex) ?? .all
        let engine = try store.openForWriting(createIfMissing: false)
        let before = try engine.space()
        try engine.compact(range)
        let after = try engine.space()
        try engine.close()
        try printFigures(
            [
                ("segmentsBefore", .integer(before.segmentFiles)),
                ("bytesBefore", .unsigned(before.segmentBytes)),
                ("segments", .integer(after.segmentFiles)),
                ("bytes", .unsigned(after.segmentBytes)),
            ],
            format
        )
    }
}
