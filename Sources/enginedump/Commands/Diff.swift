internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compares two stores.",
        discussion: """
            Examples:
              enginedump diff /var/lib/leader /var/lib/follower
              enginedump diff DIR-A DIR-B --at-seq 1000 --format json
              enginedump diff DIR-A DIR-B --contents-only --prefix user:

            Epochs, log hashes, and every key, at the last sequence that both have. What one has
            more is no difference. Exit status 3: there are differences.
            """
    )

    @Argument(help: "The directory of one store.") var directoryA: String
    @Argument(help: "The directory of the other.") var directoryB: String
    @Option(help: "The sequence at which they are compared.") var atSeq: UInt64?
    @Flag(help: "Compare only keys and values, also of stores with different histories.")
    var contentsOnly = false
    @Option(help: "The first key.") var from: String?
    @Option(help: "The key behind the last one.") var to: String?
    @Option(help: "Only keys that begin with this.") var prefix: String?
    @Flag(help: "Keys and values are lowercase hexadecimal digits.") var hex = false
    @Flag(help: "Leave values out.") var noValues = false
    @Option(help: "At most this many lines, besides errors and the summary.") var limit: Int?
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        let printer = LinePrinter(try filter())
        let lines = DiffPrinter(printer.filter)
        var settings = StoreDiff.Settings()
        settings.keys = try printer.filter.keys()
        settings.sequence = atSeq
        settings.contentsOnly = contentsOnly
        let diff = try StoreDiff(directoryA, directoryB, settings, lines.difference) {
            place,
            error in
            try printer.error(place, error)
        }
        let summary = try diff.run()
        try lines.summary(summary)
        if summary.isDamaged { throw SilentExit(.corruption) }
        if summary.differences > 0 || summary.hasMissingFiles { throw SilentExit(.gap) }
    }

    private func filter() throws -> Filter {
        var filter = try Filter.parse([])
        filter.from = from
        filter.to = to
        filter.prefix = prefix
        filter.hex = hex
        filter.noValues = noValues
        filter.limit = limit
        filter.format = format
        return filter
    }
}

/// Prints differences, one line each.
///
/// Thread safety: none.
private final class DiffPrinter {
    private typealias Member = (name: String, value: JSON)

    private let filter: Filter
    private var left: Int

    init(_ filter: Filter) {
        self.filter = filter
        left = filter.limit ?? .max
    }

    func difference(_ difference: StoreDifference) throws {
        guard left > 0 else { return }
        left -= 1
        try line("difference", members(difference))
    }

    private func members(_ difference: StoreDifference) -> [Member] {
        switch difference {
        case .history(let a, let b):
            return [
                ("kind", .string("history")), ("historyA", .string(a.description)),
                ("historyB", .string(b.description)),
            ]
        case .epoch(let a, let b):
            let number = a?.epoch.number ?? b?.epoch.number ?? 0
            return [("kind", .string("epoch")), ("epoch", .unsigned(number))]
                + members(a, "A") + members(b, "B")
        case .logHash(let agreesThrough, let differsFrom):
            let agreed: [Member] = agreesThrough.map { [("agreesThrough", .unsigned($0))] } ?? []
            return [("kind", .string("logHash"))] + agreed
                + [("differsFrom", .unsigned(differsFrom))]
        case .key(let key, let a, let b):
            return [
                ("kind", .string(Self.kind(a, b))),
                JSON.member("key", bytes: key, hex: filter.hex),
            ] + members(a, "A") + members(b, "B")
        }
    }

    private static func kind(
        _ a: StoreDifference.Found?,
        _ b: StoreDifference.Found?
    ) -> String {
        guard let a else { return "onlyInB" }
        guard let b else { return "onlyInA" }
        return a.value == b.value ? "sequence" : "value"
    }

    private func members(_ entry: EpochEntry?, _ store: String) -> [Member] {
        guard let entry else { return [] }
        return [
            ("starter" + store, .string(hexadecimal(entry.epoch.starter))),
            ("lastSequenceBefore" + store, .unsigned(entry.lastSequenceBefore)),
            ("logHashBefore" + store, .string(hexadecimal(entry.logHashBefore))),
        ]
    }

    private func members(_ found: StoreDifference.Found?, _ store: String) -> [Member] {
        guard let found else { return [] }
        let value =
            filter.noValues
            ? [] : [JSON.member("value" + store, bytes: found.value, hex: filter.hex)]
        return [("sequence" + store, .unsigned(found.sequence))] + value
    }

    func summary(_ summary: StoreDiffSummary) throws {
        let agreed: [Member] =
            summary.agreesThrough.map { [("agreesThrough", .unsigned($0))] } ?? []
        let members: [Member] =
            [
                ("sequenceA", .unsigned(summary.sequenceA)),
                ("sequenceB", .unsigned(summary.sequenceB)),
                ("lastSequenceA", .unsigned(summary.lastSequenceA)),
                ("lastSequenceB", .unsigned(summary.lastSequenceB)),
            ] + agreed + [
                ("keys", .unsigned(summary.keys)), ("equal", .unsigned(summary.equal)),
                ("undetermined", .unsigned(summary.undetermined)),
                ("differences", .unsigned(summary.differences)),
                ("damaged", .boolean(summary.isDamaged)),
                ("missingFiles", .boolean(summary.hasMissingFiles)),
            ]
        guard filter.format == .text else { return try line("summary", members) }
        try ToolOutput.print(
            members.map { "\($0.name)=\($0.value.plainText)" }.joined(separator: " ")
        )
    }

    private func line(_ type: String, _ members: [Member]) throws {
        let all: [Member] = [("type", .string(type))] + members
        switch filter.format {
        case .json: try ToolOutput.print(JSON.object(all).text)
        case .text:
            let words = members.map { "\($0.name)=\(LinePrinter.text($0.value))" }
            try ToolOutput.print(([type] + words).joined(separator: " "))
        }
    }
}
