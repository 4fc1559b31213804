internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct SegmentCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "segment",
        abstract: "Prints what is in segments.",
        discussion: """
            Examples:
              enginedump segment DIR/0000000007.segment --prefix user: --limit 20
              enginedump segment DIR/0000000007.segment --blocks --format json
              enginedump segment DIR --check

            Without options: a line for each segment, then one for each version and each piece of
            a range tombstone in it.
            """
    )

    @Argument(help: "Directories of stores, or segment files.") var paths: [String]
    @Flag(help: "Verify everything; only errors and a summary.") var check = false
    @Flag(help: "A line for each block instead of each version.") var blocks = false
    @OptionGroup var filter: Filter

    /// What was found in all.
    private struct Total {
        var segments: UInt64 = 0, entries: UInt64 = 0, rangeTombstones: UInt64 = 0
        var size: UInt64 = 0
        var isDamaged = false

        mutating func note(_ info: SegmentInfo) {
            // The numbers come from files: they may be of any size.
            entries &+= info.entryCount
            rangeTombstones &+= info.rangeTombstoneCount
            size &+= info.size
        }

        var members: [LinePrinter.Member] {
            [
                ("segments", .unsigned(segments)), ("entries", .unsigned(entries)),
                ("rangeTombstones", .unsigned(rangeTombstones)), ("size", .unsigned(size)),
                ("damaged", .boolean(isDamaged)),
            ]
        }
    }

    func run() throws {
        let printer = LinePrinter(filter)
        var total = Total()
        for path in paths {
            let path = StorePath(path)
            let directory = try path.open()
            if case .segment(let number) = path.file {
                try show(number, directory, historyID: nil, printer, &total)
            } else {
                try showAll(directory, printer, &total)
            }
        }
        if check { try printer.summary(total.members) }
        if total.isDamaged { throw SilentExit(.corruption) }
    }

    /// Shows all segments of a directory; a running engine may replace them meanwhile.
    private func showAll(
        _ directory: StoreDirectory,
        _ printer: LinePrinter,
        _ total: inout Total
    ) throws {
        let historyID = StoreInspector.historyID(of: directory)
        try StoreInspector.eachSegment(of: directory) { number in
            guard try !StoreInspector.isUnfinished(number, in: directory) else {
                let name = FileName.segment(number).description
                guard !check else { return }
                let reason = JSON.string("not finished, and not known to the manifest")
                let place = LogPlace(file: name, offset: 0)
                return try printer.line("orphan", place, [("reason", reason)])
            }
            try show(number, directory, historyID: historyID, printer, &total)
        }
    }

    private func show(
        _ number: UInt64,
        _ directory: StoreDirectory,
        historyID: UniqueID?,
        _ printer: LinePrinter,
        _ total: inout Total
    ) throws {
        do {
            let segment = try SegmentInspector(
                number: number,
                in: directory,
                historyID: historyID
            )
            total.segments += 1
            if check {
                total.note(try segment.verify())
            } else {
                try show(segment, printer)
            }
            total.isDamaged = total.isDamaged || segment.isDamaged
        } catch let error as EngineError where error.code != .io {
            total.isDamaged = true
            let name = FileName.segment(number).description
            try printer.error(LogPlace(file: name, offset: 0), error)
        }
    }

    private func show(_ segment: SegmentInspector, _ printer: LinePrinter) throws {
        func print(_ place: LogPlace, _ event: SegmentEvent) throws {
            switch event {
            case .segment(let info, let stored):
                try printer.segment(place, info, storedBytes: stored)
            case .block(let block): try printer.block(place, block)
            case .entry(let operation, let sequence):
                guard filter.shows(sequence) else { return }
                try printer.entry(place, operation, sequence: sequence)
            case .error(let error): try printer.error(place, error)
            }
        }
        try segment.describe(print)
        try segment.run(blocks ? .blocks : .entries, keys: try filter.keys(), print)
    }
}
