import Foundation
import StorageEngine
import Testing

/// The contracts of `enginectl checkpoint`, `backup` and `restore`.
struct BackupCommandTests {
    private let ctl: Ctl
    private var backups: String { ctl.scratch.path + "/backups" }

    init() throws {
        ctl = try Ctl()
        let engine = try Engine.open(at: ctl.store)
        for number in 0..<200 { try engine.put("value \(number)", for: "key\(number)", ack: .wal) }
        try engine.flush()
        try engine.put("unflushed", for: "key0")
        try engine.close()
    }

    private func export(_ store: String) throws -> String {
        let tool = try ctl("export", store: store)
        #expect(tool.status == 0, "\(tool.errors)")
        return tool.output
    }

    private static let backupMembers = [
        "backup", "bytes", "epoch", "historyID", "lastSequence", "logFiles", "logHash", "memberID",
        "segments", "timeMilliseconds",
    ]

    @Test func aCheckpointIsAStore() throws {
        let path = ctl.scratch.path + "/copy"

        let tool = try ctl("checkpoint", "--to", path, "--format", "json")

        #expect(tool.status == 0, "\(tool.errors)")
        let object = try tool.object()
        #expect(
            object.keys.sorted() == [
                "copiedBytes", "copiedSegments", "lastSequence", "linkedBytes", "linkedSegments",
                "logBytes", "logFiles", "memberID",
            ]
        )
        #expect(object["linkedSegments"] as? Int == 1 && object["lastSequence"] as? Int == 201)
        #expect(try export(path) == export(ctl.store))
        let stats = try ctl("stats", "--format", "json", store: path).object()
        #expect(stats["memberID"] as? String == object["memberID"] as? String)
        let original = try ctl("stats", "--format", "json").object()
        #expect(stats["memberID"] as? String != original["memberID"] as? String)
        #expect(stats["historyID"] as? String == original["historyID"] as? String)
        #expect(try ctl("verify", store: path).status == 0)
        #expect(try ctl("checkpoint", "--to", path).status == 1)
        #expect(try ctl("checkpoint", "--to", path, store: path + "-none").status == 5)
        #expect(try ctl("checkpoint", "--to", path + "/none/none").status == 4)
    }

    @Test func backupsAreMadeListedVerifiedAndRestored() throws {
        let first = try ctl("backup", "--to", backups, "--format", "json")
        let before = try export(ctl.store)
        #expect(try ctl("put", "key1", "changed").status == 0)
        let second = try ctl("backup", "--to", backups, "--format", "json")

        #expect(first.status == 0 && second.status == 0, "\(first.errors)\(second.errors)")
        let object = try second.object()
        #expect(
            object.keys.sorted()
                == (Self.backupMembers + [
                    "copiedBytes", "copiedFiles", "removedBackups", "sharedBytes", "sharedFiles",
                ]).sorted()
        )
        #expect(object["backup"] as? Int == 2 && object["lastSequence"] as? Int == 202)
        #expect(try first.object()["sharedFiles"] as? Int == 0)
        #expect(object["sharedFiles"] as? Int ?? 0 > 0)

        let list = try ctl("backup", "--to", backups, "--list", "--format", "json")
        #expect(list.lines.count == 2)
        #expect(try list.object().keys.sorted() == Self.backupMembers)
        let text = try ctl("backup", "--to", backups, "--list")
        #expect(text.lines.first?.hasPrefix("backup=1 timeMilliseconds=") == true)
        let verify = try ctl("backup", "--to", backups, "--verify", "--format", "json")
        #expect(verify.status == 0)
        #expect(try verify.object().keys.sorted() == ["backups", "bytes", "damaged", "files"])

        let old = ctl.scratch.path + "/old"
        let new = ctl.scratch.path + "/new"
        let restored = try Tool(
            "enginectl",
            ["restore", "--from", backups, "--backup", "1", "--to", old, "--format", "json"],
            in: ctl.scratch
        )
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try restored.object().keys.sorted() == Self.backupMembers)
        #expect(try export(old) == before)
        let newest = try Tool(
            "enginectl",
            ["restore", "--from", backups, "--to", new],
            in: ctl.scratch
        )
        #expect(newest.status == 0)
        #expect(try export(new) == export(ctl.store))
        #expect(try ctl("verify", store: new).status == 0)
    }

    @Test func oldBackupsAreRemoved() throws {
        for _ in 0..<3 { _ = try ctl("backup", "--to", backups) }

        let tool = try ctl("backup", "--to", backups, "--keep", "2", "--format", "json")

        #expect(try tool.object()["removedBackups"] as? Int == 2)
        let list = try ctl("backup", "--to", backups, "--list")
        #expect(list.lines.map { $0.prefix(9) } == ["backup=3 ", "backup=4 "])
    }

    @Test func damageEndsWithTwo() throws {
        _ = try ctl("backup", "--to", backups)
        let name = try #require(
            try ctl.scratch.names(in: "backups").first { $0.hasSuffix(".segment") }
        )
        let file = try #require(FileHandle(forUpdatingAtPath: backups + "/" + name))
        try file.seek(toOffset: 40)
        try file.write(contentsOf: Data([1, 2, 3, 4]))
        try file.close()

        let verify = try ctl("backup", "--to", backups, "--verify", "--format", "json")
        let path = ctl.scratch.path + "/restored"
        let restore = try Tool(
            "enginectl",
            ["restore", "--from", backups, "--to", path],
            in: ctl.scratch
        )

        #expect(verify.status == 2 && restore.status == 2)
        #expect(try verify.object()["damaged"] as? Int == 1)
        #expect(verify.errors.hasPrefix("error: ") && verify.errors.contains(name))
        #expect(restore.errors.contains(name))
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try !ctl.scratch.names().contains(".restored.unfinished"))
    }

    @Test func whatCannotBeIsRefused() throws {
        let engine = try Engine.open(at: ctl.store)
        #expect(try ctl("backup", "--to", backups).status == 5)
        #expect(try ctl("checkpoint", "--to", backups).status == 5)
        try engine.close()

        #expect(try ctl("backup", "--to", backups, "--list").status == 5)
        #expect(try ctl("backup", "--to", backups, "--list", "--verify").status == 1)
        #expect(try ctl("backup", "--to", backups, "--keep", "0").status == 1)
        #expect(try ctl("backup", "--to", ctl.store).status == 1)
        #expect(try ctl("backup", "--to", backups).status == 0)
        let other = try ctl("put", "k", "v", store: ctl.scratch.path + "/other")
        #expect(other.status == 0)
        #expect(try ctl("backup", "--to", backups, store: ctl.scratch.path + "/other").status == 1)
        let restore = try Tool(
            "enginectl",
            ["restore", "--from", backups, "--backup", "7", "--to", backups + "-x"],
            in: ctl.scratch
        )
        #expect(restore.status == 1)
    }
}
