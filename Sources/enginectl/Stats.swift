internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints what a store holds and how much space it takes.",
        discussion: "Example: enginectl --db DIR stats --format json"
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "text or json.") var format = Format.text

    func run() throws {
        let engine = try store.openForReading()
        let log = try engine.verify()
        let space = try engine.space()
        let metrics = engine.metrics
        var live = 0
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() { live += 1 }
        try print(
            [
                ("historyID", .string(engine.historyID.description)),
                ("memberID", .string(engine.memberID.description)),
                ("lastSequence", .integer(Int(engine.lastSequence))),
                ("keys", .integer(live)),
                ("indexBytes", .integer(metrics.indexBytes)),
                ("logFiles", .integer(space.logFiles)),
                ("logBytes", .integer(Int(space.logBytes))),
                ("records", .integer(Int(log.records))),
                ("frames", .integer(Int(log.frames))),
                ("walBytesRaw", .integer(Int(log.rawBytes))),
                ("walBytesStored", .integer(Int(log.storedBytes))),
                ("tornBytes", .integer(Int(engine.recovery.tornBytes))),
                ("freeBytes", .integer(Int(clamping: space.freeBytes))),
            ],
            format
        )
    }
}

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads every file of a store and checks all that can be checked.",
        discussion: "Example: enginectl --db DIR verify"
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "text or json.") var format = Format.text

    func run() throws {
        let report = try store.openForReading().verify()
        try print(
            [
                ("files", .integer(report.files)),
                ("frames", .integer(Int(report.frames))),
                ("records", .integer(Int(report.records))),
                ("bytes", .integer(Int(report.storedBytes))),
            ],
            format
        )
    }
}

/// Prints members as one JSON object, or one to a line.
private func print(_ members: [(name: String, value: JSON)], _ format: Format) throws {
    switch format {
    case .json: try ToolOutput.print(JSON.object(members).text)
    case .text:
        let width = members.map(\.name.count).max() ?? 0
        for (name, value) in members {
            let space = String(repeating: " ", count: width - name.count + 2)
            try ToolOutput.print(name + space + value.plainText)
        }
    }
}
