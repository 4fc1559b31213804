internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Stats: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints what a store holds, and how much space it takes.",
        discussion: """
            Example:
              enginectl --db DIR stats --format json
            """
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "text: a line a figure; json: one object.") var format = OutputFormat.text

    func run() throws {
        let engine = try store.openForReading()
        let log = try engine.verifyLog()
        let space = try engine.space()
        var keys = 0
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() { keys += 1 }
        var members: [(name: String, value: JSON)] = [
            ("historyID", .string(engine.historyID.description)),
            ("memberID", .string(engine.memberID.description)),
        ]
        if let epoch = log.epoch { members.append(("epoch", .string(epoch.description))) }
        members += [
            ("lastSequence", .unsigned(engine.lastSequence)),
            ("keys", .integer(keys)),
            ("indexBytes", .integer(engine.metrics.indexBytes)),
            ("logFiles", .integer(space.logFiles)),
            ("logBytes", .unsigned(space.logBytes)),
            ("segments", .integer(space.segmentFiles)),
            ("segmentBytes", .unsigned(space.segmentBytes)),
            ("versions", .unsigned(space.versions)),
            ("deadVersions", .unsigned(space.deadVersions)),
            ("deadBytes", .unsigned(space.deadBytes)),
            ("unflushedLogBytes", .unsigned(space.unflushedLogBytes)),
            (
                "levels",
                .string(engine.metrics.levelSegments.map(String.init).joined(separator: " "))
            ),
            ("freeBytes", .unsigned(space.freeBytes)),
            ("frames", .unsigned(log.frames)),
            ("records", .unsigned(log.records)),
            ("walBytesRaw", .unsigned(log.rawBytes)),
            ("walBytesStored", .unsigned(log.frameBytes)),
            ("tornBytes", .unsigned(engine.recovery.tornBytes)),
            ("rewrittenRecords", .unsigned(engine.recovery.rewrittenRecords)),
        ]
        members += feed(engine.metrics)
        try printFigures(members, format)
    }

    /// What is kept for consumers of changes.
    private func feed(_ metrics: Engine.Metrics) -> [(name: String, value: JSON)] {
        [
            ("slots", .integer(metrics.slots)),
            ("lostSlots", .integer(metrics.lostSlots)),
            ("slotLagSequences", .unsigned(metrics.slotLagSequences)),
            ("slotLagBytes", .unsigned(metrics.slotLagBytes)),
            ("slotLagMilliseconds", .unsigned(metrics.slotLagTime)),
            ("retainedLogBytes", .unsigned(metrics.retainedLogBytes)),
        ]
    }
}

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reads every file of a store and checks all that can be checked.",
        discussion: """
            Exit 2: bytes are not what was written; 3: a file of the log is missing. A torn
            tail, which the next open for writing cuts off, is reported and no damage.

            Example:
              enginectl --db DIR verify
            """
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "text: a line a figure; json: one object.") var format = OutputFormat.text

    func run() throws {
        let engine = try store.openForReading()
        let log = try engine.verify()
        try printFigures(
            [
                ("files", .integer(log.files)),
                ("frames", .unsigned(log.frames)),
                ("records", .unsigned(log.records)),
                ("bytes", .unsigned(log.storedBytes)),
                ("segments", .integer(log.segments)),
                ("segmentEntries", .unsigned(log.segmentEntries)),
                ("segmentBytes", .unsigned(log.segmentBytes)),
                ("tornBytes", .unsigned(engine.recovery.tornBytes)),
            ],
            format
        )
    }
}

/// Prints figures as one JSON object, or a line each.
func printFigures(
    _ members: [(name: String, value: JSON)],
    _ format: OutputFormat
) throws {
    guard format == .text else { return try ToolOutput.print(JSON.object(members).text) }
    let width = members.map(\.name.count).max() ?? 0
    var output = OutputWriter()
    for (name, value) in members {
        let space = String(repeating: " ", count: width + 2 - name.count)
        try output.line(name + space + value.plainText)
    }
    try output.flush()
}
