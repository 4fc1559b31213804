internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Backup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Adds a backup to a directory of backups, lists them, or verifies them.",
        discussion: """
            The first backup copies everything, each further one only what no backup there has
            yet. Any of them can be restored without the others.

            Examples:
              enginectl --db DIR backup --to /backups/store
              enginectl --db DIR backup --to /backups/store --keep 7
              enginectl backup --to /backups/store --list
              enginectl backup --to /backups/store --verify
            """
    )

    @ParentCommand var store: EngineCtl
    @Option(help: "The directory of backups; made when it is absent.") var to: String
    @Option(help: "Remove the oldest backups but this many, the new one included.")
    var keep: Int?
    @Flag(help: "Make none; print those that are there, the oldest first.") var list = false
    @Flag(help: "Make none; read every file and check every byte.") var verify = false
    @Option(help: "text: a line a figure; json: one object a line.") var format = OutputFormat.text

    func validate() throws {
        guard [list, verify, keep != nil].count(where: { $0 }) <= 1 else {
            throw ValidationError("--list, --verify and --keep exclude each other")
        }
    }

    func run() throws {
        let backups = BackupDirectory(path: to)
        if list {
            for backup in try backups.list() {
                try printLine(backup.members)
            }
        } else if verify {
            try show(try backups.verify())
        } else {
            let engine = try store.openForWriting(createIfMissing: false)
            let report = try engine.backup(to: to, keeping: keep)
            try engine.close()
            try printFigures(report.members, format)
        }
    }

    private func printLine(_ members: [(name: String, value: JSON)]) throws {
        guard format == .text else { return try ToolOutput.print(JSON.object(members).text) }
        let words = members.map { "\($0.name)=\($0.value.plainText)" }
        try ToolOutput.print(words.joined(separator: " "))
    }

    private func show(_ found: BackupVerification) throws {
        for damage in found.damages { ToolOutput.complain("error: \(damage)") }
        try printFigures(
            [
                ("backups", .integer(found.backups)),
                ("files", .integer(found.files)),
                ("bytes", .unsigned(found.bytes)),
                ("damaged", .integer(found.damages.count)),
            ],
            format
        )
        if !found.damages.isEmpty { throw SilentExit(.corruption) }
    }
}

struct Restore: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Makes a store of a backup; every byte is checked on the way.",
        discussion: """
            The store has the history of the backup, and a member id of its own. --db is not
            needed.

            Examples:
              enginectl restore --from /backups/store --to /var/lib/store
              enginectl restore --from /backups/store --backup 3 --to /var/lib/store
            """
    )

    @Option(help: "The directory of backups.") var from: String
    @Option(help: "The number of the backup; the newest when left out.") var backup: UInt64?
    @Option(help: "The new store's directory; absent, or empty.") var to: String
    @Option(help: "text: a line a figure; json: one object.") var format = OutputFormat.text

    func run() throws {
        let info = try BackupDirectory(path: from).restore(to: to, backup: backup)
        try printFigures(info.members, format)
    }
}

extension BackupInfo {
    /// What is told of a backup.
    var members: [(name: String, value: JSON)] {
        [
            ("backup", .unsigned(number)),
            ("timeMilliseconds", .unsigned(time)),
            ("historyID", .string(historyID.description)),
            ("memberID", .string(memberID.description)),
            ("epoch", .string(position.epoch.description)),
            ("lastSequence", .unsigned(position.sequence)),
            ("logHash", .string(hexadecimal(position.logHash ?? 0))),
            ("segments", .integer(segments)),
            ("logFiles", .integer(logFiles)),
            ("bytes", .unsigned(bytes)),
        ]
    }
}

extension BackupReport {
    fileprivate var members: [(name: String, value: JSON)] {
        backup.members + [
            ("copiedFiles", .integer(copiedFiles)),
            ("copiedBytes", .unsigned(copiedBytes)),
            ("sharedFiles", .integer(sharedFiles)),
            ("sharedBytes", .unsigned(sharedBytes)),
            ("removedBackups", .integer(removedBackups)),
        ]
    }
}
