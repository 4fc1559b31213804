internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Db: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints what a store consists of.",
        discussion: """
            Examples:
              enginedump db DIR
              enginedump db DIR --format json
              enginedump db DIR --check

            STORE, the state of the manifest, the segments by level, the log files, and files that
            nothing names. With --check everything is verified: log, manifest and segments.
            """
    )

    @Argument(help: "The store's directory.") var directory: String
    @Flag(help: "Verify everything; only errors, damage and a summary.") var check = false
    @Flag(help: "Keys are printed as lowercase hexadecimal digits.") var hex = false
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        var filter = try Filter.parse(hex ? ["--hex"] : [])
        filter.format = format
        let printer = LinePrinter(filter)
        let directory = try StoreInspector.openDirectory(directory)
        let found = SegmentDamage(verifies: check)
        let store = try StoreInspector.eachLiveSegment(of: directory) { place, event in
            if case .edit = event { return }
            try printer.print(event, at: place, onlyDamage: true)
        } _: { segment in
            try found.open(segment, in: directory)
        }
        let damage = try found.finish()
        var isDamaged = store.manifest.isDamaged
        try show(store, printer)
        for segment in store.segments {
            let name = FileName.segment(segment.info.number).description
            guard let error = damage[segment.info.number] else { continue }
            isDamaged = true
            try printer.error(LogPlace(file: name, offset: 0), error)
        }
        for segment in store.missing {
            isDamaged = true
            try printer.missing(segment)
        }
        if !check { try showFiles(directory, store, printer) }
        let log = try inspectLog(printer)
        if check { try summarize(store, log, isDamaged: isDamaged || log.isDamaged, printer) }
        if isDamaged || log.isDamaged { throw SilentExit(.corruption) }
        if log.hasMissingFiles { throw SilentExit(.gap) }
    }

    // MARK: - Lines

    private func show(_ store: InspectedStore, _ printer: LinePrinter) throws {
        guard !check else { return }
        if let mark = store.mark { try printer.store(mark) }
        let state = store.manifest.state
        guard store.manifestNumber > 0 else { return }
        let name = FileName.manifest(store.manifestNumber).description
        try printer.state(LogPlace(file: name, offset: store.manifest.end), state)
        for (level, segments) in state.levels.enumerated() where !segments.isEmpty {
            try printer.line(
                "level",
                LogPlace(file: name, offset: store.manifest.end),
                [
                    ("level", .integer(level)), ("segments", .integer(segments.count)),
                    ("size", .unsigned(segments.reduce(0) { $0 &+ $1.size })),
                    ("entries", .unsigned(segments.reduce(0) { $0 &+ $1.entryCount })),
                ]
            )
            for info in segments {
                let file = FileName.segment(info.number).description
                try printer.segment(LogPlace(file: file, offset: 0), info, level: level)
            }
        }
    }

    /// Tells of log files, and of files that nothing names.
    private func showFiles(
        _ directory: StoreDirectory,
        _ store: InspectedStore,
        _ printer: LinePrinter
    ) throws {
        let listing = try directory.list()
        let owned = OwnedFiles(store)
        for name in listing.known {
            guard let size = try size(name, directory) else { continue }
            let place = LogPlace(file: name.description, offset: 0)
            let members: [LinePrinter.Member] = [("size", .unsigned(size))]
            if let reason = owned.reason(orphaning: name) {
                try printer.line("orphan", place, members + [("reason", .string(reason))])
            } else if case .log(let number) = name {
                try printer.line("log", place, [("number", .unsigned(number))] + members)
            }
        }
        for name in listing.unknown {
            let place = LogPlace(file: name, offset: 0)
            try printer.line("orphan", place, [("reason", .string("no name of a store's file"))])
        }
    }

    /// A file's size; `nil` when it is no file or vanished meanwhile.
    private func size(_ name: FileName, _ directory: StoreDirectory) throws -> UInt64? {
        if case .quarantine = name { return nil }
        return try directory.openIfPresent(name, for: .read)?.size()
    }

    // MARK: - Log, summary

    /// Looks at the log: at all of it, or for files that are missing.
    private func inspectLog(_ printer: LinePrinter) throws -> LogInspection {
        let inspector = try LogInspector(path: directory)
        return try (check ? inspector.run : inspector.runHeaders) { place, event in
            switch event {
            case .error(let error): try printer.error(place, error)
            case .gap(let length, let reason, let after, isDamage: true):
                try printer.gap(
                    place,
                    length: length,
                    reason: reason,
                    after: after,
                    isDamage: true
                )
            default: break
            }
        }
    }

    private func summarize(
        _ store: InspectedStore,
        _ log: LogInspection,
        isDamaged: Bool,
        _ printer: LinePrinter
    ) throws {
        let segments = store.segments
        try printer.summary(
            [
                ("edits", .integer(store.manifest.edits)), ("segments", .integer(segments.count)),
                ("entries", .unsigned(segments.reduce(0) { $0 &+ $1.info.entryCount })),
                ("size", .unsigned(segments.reduce(0) { $0 &+ $1.info.size })),
                ("missingSegments", .integer(store.missing.count)),
                ("torn", .boolean(store.manifest.isTorn)),
            ] + log.members.dropLast(2) + [
                ("damaged", .boolean(isDamaged)),
                ("missingFiles", .boolean(log.hasMissingFiles)),
            ]
        )
    }
}

/// Collects what is wrong with segments. Files are opened first and verified then, as far as they
/// may be held open: a running engine removes them meanwhile.
///
/// Thread safety: none.
private final class SegmentDamage {
    private let verifies: Bool
    private var held: [(info: SegmentInfo, inspector: SegmentInspector)] = []
    private var errors: [UInt64: EngineError] = [:]

    private static let heldMax = 500

    init(verifies: Bool) { self.verifies = verifies }

    func open(_ segment: LevelSegment, in directory: StoreDirectory) throws(EngineError) {
        do throws(EngineError) {
            let inspector = try SegmentInspector(number: segment.info.number, in: directory)
            guard verifies else { return }
            held.append((segment.info, inspector))
        } catch {
            guard error.code != .io else { throw error }
            errors[segment.info.number] = error
        }
        if held.count == Self.heldMax { _ = try finish() }
    }

    /// What is wrong, by number.
    func finish() throws(EngineError) -> [UInt64: EngineError] {
        for (info, inspector) in held {
            do throws(EngineError) {
                try inspector.verify(info)
            } catch {
                guard error.code != .io else { throw error }
                errors[info.number] = error
            }
        }
        held = []
        return errors
    }
}

/// Which files a store's parts name.
private struct OwnedFiles {
    private let segments: Set<UInt64>
    private let nextSegmentNumber, manifest: UInt64

    init(_ store: InspectedStore) {
        segments = Set(store.segments.map(\.info.number))
        nextSegmentNumber = store.manifest.state.nextSegmentNumber
        manifest = store.manifestNumber
    }

    /// Why nothing names a file; `nil` when something does.
    func reason(orphaning name: FileName) -> String? {
        switch name {
        case .segment(let number):
            guard !segments.contains(number) else { return nil }
            return number < nextSegmentNumber
                ? "the manifest does not name it any more" : "the manifest does not know it"
        case .manifest(let number):
            return number == manifest ? nil : "STORE names another manifest"
        case .temporaryStore, .temporarySlots, .temporaryLog, .temporaryMember, .temporaryCopy:
            return "left behind while it was written"
        case .backup, .temporaryBackup, .savedLog, .savedSegment: return "of a backup"
        case .member, .copy: return "of a replication member"
        // Log files before the log's start are kept for consumers.
        case .store, .slots, .lock, .quarantine, .log: return nil
        }
    }
}
