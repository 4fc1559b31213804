internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Repair: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Finds out what is wrong with a store, and repairs it in its place.",
        discussion: """
            Says what is wrong, what would be done and what would be lost, and changes nothing;
            with --apply it is done. Damaged bytes are copied to quarantine/ before. A repair
            that was cut short is finished by another one.

            The log is cut at its first hole. Of a damaged segment the blocks that can be read
            are kept; what the log still has is read from there. Exit status 2 or 3 without
            --apply: something is wrong. Consider salvage first: it leaves the store alone.

            Examples:
              enginectl --db DIR repair
              enginectl --db DIR repair --apply
            """
    )

    @ParentCommand var store: EngineCtl
    @Flag(help: "Repair the store.") var apply = false
    @Flag(help: "Keys are printed as lowercase hexadecimal digits.") var hex = false
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        let path = try store.path
        let directory = try StoreDirectory.open(path: path, in: PosixFileSystem())
        let lock = try acquireLock(of: directory, exclusive: apply)
        let repair = try StoreRepair(directory, environment: .system())
        let report = repair.report
        var printer = FindingPrinter(format: format, hex: hex)
        for defect in report.defects { try printer.print(defect) }
        for action in report.actions { try printer.print(action) }
        for loss in report.losses { try printer.print(loss) }
        if apply, report.isNeeded { try repair.apply() }
        try printer.summarize([
            ("defects", .integer(report.defects.count)), ("losses", .integer(report.losses.count)),
            ("lastSequence", .unsigned(report.lastSequence)), ("applied", .boolean(apply)),
        ])
        try printer.end()
        try lock.release()
        guard apply else { return try end(report.defects) }
        _ = try store.openForReading().verify()
    }
}

struct Salvage: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Copies what can be read of a store, however damaged, into a new one.",
        discussion: """
            Needs neither STORE nor a manifest. The new store has a history of its own; of each
            key it holds the newest version that could be read. Says what is wrong and what
            could not be copied. The old store is only read.

            Exit status 2 or 3: something could not be copied.

            Example:
              enginectl --db DIR salvage --to NEWDIR
            """
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "The new store's directory; it is made, or empty.") var to: String
    @Flag(help: "Keys are printed as lowercase hexadecimal digits.") var hex = false
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        let directory = try StoreDirectory.open(
            path: try store.path,
            in: PosixFileSystem(),
            allowsSharedWriting: true
        )
        let lock = try acquireLock(of: directory, exclusive: false)
        let salvage = try StoreSalvage(directory, environment: .system())
        let report = try salvage.run(to: to)
        try lock.release()
        var printer = FindingPrinter(format: format, hex: hex)
        for defect in report.defects { try printer.print(defect) }
        for loss in report.losses { try printer.print(loss) }
        try printer.summarize([
            ("defects", .integer(report.defects.count)), ("losses", .integer(report.losses.count)),
            ("lastSequence", .unsigned(report.lastSequence)), ("keys", .unsigned(report.keys)),
            ("segments", .integer(report.segments)),
            ("segmentBytes", .unsigned(report.segmentBytes)),
            ("historyID", .string(report.historyID.description)),
        ])
        try printer.end()
        if !report.losses.isEmpty { try end(report.defects) }
    }
}

/// Locks a store without opening it.
private func acquireLock(
    of directory: StoreDirectory,
    exclusive: Bool
) throws -> DirectoryLock {
    do throws(EngineError) {
        return try DirectoryLock.acquire(in: directory, exclusive: exclusive)
    } catch {
        guard error.code == .locked else { throw error }
        throw ToolError(
            "opening the store \(directory.path): locked by a running engine",
            exit: .other
        )
    }
}

/// Ends the tool as the defects ask for.
private func end(_ defects: [StoreDefect]) throws {
    guard !defects.isEmpty else { return }
    throw SilentExit(defects.allSatisfy { $0.code == .logGap } ? .gap : .corruption)
}

/// Prints defects, actions and losses, one line each.
private struct FindingPrinter: ~Copyable {
    typealias Member = (name: String, value: JSON)

    let format: OutputFormat
    let hex: Bool
    private var output = OutputWriter()

    init(format: OutputFormat, hex: Bool) {
        self.format = format
        self.hex = hex
    }

    mutating func print(_ defect: StoreDefect) throws {
        try line(
            "defect",
            [
                ("file", .string(defect.file)), ("offset", .unsigned(defect.offset)),
                ("code", .string(defect.code.rawValue)), ("message", .string(defect.message)),
            ]
        )
    }

    mutating func print(_ action: RepairReport.Action) throws {
        var members: [Member] = [
            ("action", .string(action.kind.rawValue)), ("file", .string(action.file)),
            ("offset", .unsigned(action.offset)),
        ]
        if let length = action.length { members.append(("length", .unsigned(length))) }
        try line("action", members)
    }

    mutating func print(_ loss: StoreLoss) throws {
        var members: [Member] = [("kind", .string(loss.kind.rawValue))]
        if let file = loss.file { members.append(("file", .string(file))) }
        if !loss.keys.lower.isEmpty {
            members.append(JSON.member("fromKey", bytes: loss.keys.lower, hex: hex))
        }
        if let upper = loss.keys.upper {
            members.append(JSON.member("toKey", bytes: upper, hex: hex))
        }
        if let sequences = loss.sequences {
            members.append(("fromSequence", .unsigned(sequences.lowerBound)))
            members.append(("toSequence", .unsigned(sequences.upperBound)))
        }
        try line("loss", members)
    }

    mutating func summarize(_ members: [Member]) throws { try line("summary", members) }

    mutating func end() throws { try output.flush() }

    private mutating func line(_ type: String, _ members: [Member]) throws {
        switch format {
        case .json:
            try output.line(JSON.object([("type", .string(type))] + members).text)
        case .text:
            let words = members.map { "\($0.name)=\(Self.text($0.value))" }
            try output.line(([type] + words).joined(separator: " "))
        }
    }

    /// A value on one line: strings are escaped as in TSV.
    private static func text(_ value: JSON) -> String {
        guard case .string(let string) = value else { return value.text }
        var line: [UInt8] = []
        TSV.append(Array(string.utf8), to: &line)
        return String(decoding: line, as: UTF8.self)
    }
}
