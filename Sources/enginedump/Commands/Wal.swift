internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Wal: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints what is in the write-ahead log.",
        discussion: """
            Examples:
              enginedump wal DIR --from-seq 100 --limit 20
              enginedump wal DIR/0000000003.log --frames --format json
              enginedump wal DIR --check
              enginedump wal DIR --only-gaps
              enginedump wal DIR --follow --from-seq 100 --format json

            Without options: a line for each operation, each gap and each error. A torn tail, the
            unfinished end of a live log and reserved space are no damage.
            """
    )

    @Argument(help: "Directories of stores, or log files.") var paths: [String]
    @Flag(help: "Only errors, damage and a summary.") var check = false
    @Flag(help: "A line for each file and frame instead of each operation.") var frames = false
    @Flag(help: "Only gaps and errors.") var onlyGaps = false
    @Flag(help: "Go on with what an engine appends, until interrupted, --limit or --to-seq.")
    var follow = false
    @OptionGroup var filter: Filter

    func validate() throws {
        guard !follow || (paths.count == 1 && !check && !onlyGaps) else {
            throw ValidationError("--follow goes with one directory, and not with --check")
        }
    }

    func run() throws {
        let printer = LinePrinter(filter)
        if follow { return try follow(paths[0], printer) }
        var total = LogInspection()
        for path in paths {
            let found = try inspector(path).run { place, event in
                try print(event, at: place, printer)
            }
            total.files += found.files
            total.frames += found.frames
            total.records += found.records
            total.gaps += found.gaps
            total.isDamaged = total.isDamaged || found.isDamaged
            total.hasMissingFiles = total.hasMissingFiles || found.hasMissingFiles
            total.lastSequence = max(total.lastSequence, found.lastSequence)
        }
        if check { try summarize(total) }
        if total.isDamaged { throw SilentExit(.corruption) }
        if total.hasMissingFiles { throw SilentExit(.gap) }
    }

    /// How long nothing is looked at when there was nothing.
    private static let pauseMilliseconds: Int32 = 20

    private func follow(_ path: String, _ printer: LinePrinter) throws {
        let follower = try LogFollower(path: path, from: filter.fromSeq)
        do {
            while true {
                let outcome = try follower.poll { place, event in
                    try print(event, at: place, printer)
                    if printer.isFull || isBehindEnd(event) { throw Enough() }
                }
                switch outcome {
                case .more: break
                case .nothing: try ToolOutput.pause(milliseconds: Self.pauseMilliseconds)
                case .damaged: throw SilentExit(.corruption)
                case .missing: throw SilentExit(.gap)
                }
            }
        } catch is Enough {}
    }

    /// What was asked for was printed.
    private struct Enough: Error {}

    /// Whether nothing that comes later can be wanted.
    private func isBehindEnd(_ event: LogEvent) -> Bool {
        guard case .record(let head, _) = event else { return false }
        return head.sequence >= filter.toSeq
    }

    private func inspector(_ path: String) throws -> LogInspector {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true)
        guard let name = parts.last, case .log(let number) = FileName(parsing: String(name)) else {
            return try LogInspector(path: path)
        }
        let directory = path.dropLast(name.utf8.count)
        return try LogInspector(
            path: directory.isEmpty ? "." : String(directory),
            numbers: [number]
        )
    }

    private func print(_ event: LogEvent, at place: LogPlace, _ printer: LinePrinter) throws {
        switch event {
        case .error(let error): try printer.error(place, error)
        case .gap(let length, let reason, let after, let isDamage):
            guard isDamage || !check else { return }
            try printer.gap(
                place,
                length: length,
                reason: reason,
                after: after,
                isDamage: isDamage
            )
        case .file(let header, let size):
            if frames, !check, !onlyGaps { try printer.file(place, header, size: size) }
        case .frame(let frame):
            guard !check, !onlyGaps, frames || frame.flags.contains(.seal) else { return }
            if filter.shows(frame.lastSequence) { try printer.frame(place, frame) }
        case .record(let head, let operations):
            guard !check, !onlyGaps, !frames, filter.shows(head.sequence) else { return }
            let keys = try filter.keys()
            let shown = try InspectedOperation.all(operations).filter { $0.touches(keys) }
            try printer.record(place, head, shown)
        }
    }

    private func summarize(_ total: LogInspection) throws {
        try LinePrinter(filter).summary(total.members)
    }
}

extension LogInspection {
    /// What a summary says of the log.
    var members: [LinePrinter.Member] {
        [
            ("files", .integer(files)), ("frames", .integer(frames)),
            ("records", .integer(records)), ("gaps", .integer(gaps)),
            ("lastSequence", .unsigned(lastSequence)), ("damaged", .boolean(isDamaged)),
            ("missingFiles", .boolean(hasMissingFiles)),
        ]
    }
}
