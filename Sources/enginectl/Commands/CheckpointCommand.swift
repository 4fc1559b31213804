internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct CheckpointCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Makes a copy that is a store of its own, at once where it can share files.",
        discussion: """
            On the same file system segments are shared with the store by hard links, and take
            no space of their own as long as the store has them; elsewhere they are copied.

            Example:
              enginectl --db DIR checkpoint --to /var/lib/copy
            """
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "The new directory; absent, or empty.") var to: String
    @Option(help: "text: a line a figure; json: one object.") var format = OutputFormat.text

    func run() throws {
        let engine = try store.openForWriting(createIfMissing: false)
        let report = try engine.checkpoint(at: to)
        try engine.close()
        try printFigures(
            [
                ("memberID", .string(report.memberID.description)),
                ("lastSequence", .unsigned(report.lastSequence)),
                ("linkedSegments", .integer(report.linkedSegments)),
                ("linkedBytes", .unsigned(report.linkedBytes)),
                ("copiedSegments", .integer(report.copiedSegments)),
                ("copiedBytes", .unsigned(report.copiedBytes)),
                ("logFiles", .integer(report.logFiles)),
                ("logBytes", .unsigned(report.logBytes)),
            ],
            format
        )
    }
}
