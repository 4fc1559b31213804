import Foundation
import StorageEngine
import Testing

/// The contract of `enginectl repair` and `enginectl salvage`.
struct RepairToolTests {
    private let store: SegmentStore
    /// The segment of the deepest level, with 300 keys; the log has them too.
    private let segment: String

    init() throws {
        store = try SegmentStore()
        segment = try #require(try store.names("segment").first)
    }

    private func ctl(_ arguments: String..., store path: String? = nil) throws -> Tool {
        try Tool("enginectl", ["--db", path ?? store.path] + arguments, in: store.scratch)
    }

    private func files() throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try store.scratch.names(in: "store") {
            files[name] = FileManager.default.contents(atPath: store.path + "/" + name)
        }
        return files
    }

    /// Damages segment and log, so that something is lost.
    private func damageBoth() throws {
        try store.damage(segment, at: 100)
        try store.damage(try #require(try store.names("log").first), at: 4200)
    }

    @Test func nothingIsWrongWithAGoodStore() throws {
        let plan = try ctl("repair", "--format", "json")
        let applied = try ctl("repair", "--apply")

        #expect(plan.status == 0 && plan.lines.count == 1)
        #expect(
            try plan.members("summary") == ["applied", "defects", "lastSequence", "losses", "type"]
        )
        #expect(try plan.object()["lastSequence"] as? Int == 304)
        #expect(applied.status == 0 && applied.output.contains("defects=0"))
    }

    @Test func aPlanTellsAllAndChangesNothing() throws {
        try damageBoth()
        let before = try files()

        let plan = try ctl("repair", "--format", "json")
        let text = try ctl("repair", "--hex")

        #expect(plan.status == 2 && text.status == 2)
        #expect(try plan.members("defect") == ["code", "file", "message", "offset", "type"])
        #expect(try plan.objects("defect").contains { $0["file"] as? String == segment })
        #expect(try plan.members("action") == ["action", "file", "offset", "type"])
        let actions = try plan.objects("action").compactMap { $0["action"] as? String }
        #expect(
            Set(actions) == ["quarantine", "copySegment", "cutLog", "restartLog", "beginEpoch"]
        )
        let loss = try #require(try plan.objects("loss").first)
        #expect(
            loss.keys.sorted()
                == ["file", "fromSequence", "fromKey", "kind", "toKey", "toSequence", "type"]
                .sorted()
        )
        #expect(loss["kind"] as? String == "versions" && loss["fromKey"] as? String == "key1000")
        #expect(text.output.contains("fromKey=6b657931303030"))
        #expect(try files() == before)
    }

    @Test func aRepairedStoreIsGoodAndDamagedBytesAreKept() throws {
        let damaged = try #require(FileManager.default.contents(atPath: store.path + "/" + segment))
        try store.damage(segment, at: 100)

        let repaired = try ctl("repair", "--apply", "--format", "json")

        #expect(repaired.status == 0)
        #expect(try repaired.objects("loss").isEmpty, "the log has all of it")
        #expect(try repaired.objects("summary").first?["applied"] as? Bool == true)
        #expect(try ctl("verify").status == 0 && ctl("repair").status == 0)
        #expect(try ctl("scan").lines.count == 289)
        let kept = try store.scratch.names(in: "store/quarantine")
        #expect(kept == ["\(segment)-0-1"])
        let copy = FileManager.default.contents(atPath: store.path + "/quarantine/" + kept[0])
        #expect(copy?.count == damaged.count && copy != damaged)
        #expect(try ctl("put", "after", "repair").status == 0)
        #expect(try ctl("get", "after").output == "repair")
    }

    @Test func whatIsLostIsMissingAfterwards() throws {
        try damageBoth()

        let repaired = try ctl("repair", "--apply")

        #expect(repaired.status == 0 && repaired.output.contains("kind=versions"))
        #expect(try ctl("verify").status == 0)
        let left = try ctl("scan").lines.count
        #expect(left > 0 && left < 289)
    }

    @Test func aMissingLogFileIsAGap() throws {
        try store.remove(try #require(try store.names("log").last))

        #expect(try ctl("repair").status == 3)
    }

    @Test func aStoreInUseIsLeftAlone() throws {
        let engine = try Engine.open(at: store.path)
        let repair = try ctl("repair", "--apply")
        let salvage = try ctl("salvage", "--to", store.scratch.path + "/new")
        try engine.close()

        #expect(repair.status == 5 && repair.errors.contains("locked by a running engine"))
        #expect(salvage.status == 5)
        #expect(try !store.scratch.names().contains("new"))
    }

    // MARK: - Salvage

    @Test func aStoreWithoutItsMarkIsSalvaged() throws {
        let whole = try ctl("export")
        try store.remove("STORE")
        try store.remove(try #require(try store.names("manifest").last))
        let before = try files()
        let new = store.scratch.path + "/new"

        let salvage = try ctl("salvage", "--to", new, "--format", "json")

        // What was last, and which segments were live, is not known.
        #expect(salvage.status == 2)
        let kinds = try salvage.objects("loss").compactMap { $0["kind"] as? String }
        #expect(kinds == ["unknownSegments", "unknownEnd"])
        #expect(
            try salvage.members("summary") == [
                "defects", "historyID", "keys", "lastSequence", "losses", "segmentBytes",
                "segments", "type",
            ]
        )
        #expect(try salvage.objects("summary").first?["keys"] as? Int == 289)
        #expect(try ctl("export", store: new).bytes == whole.bytes)
        #expect(try ctl("verify", store: new).status == 0)
        #expect(try files() == before)
    }

    @Test func aSalvageOfAGoodStoreLosesNothing() throws {
        let new = store.scratch.path + "/new"
        let salvage = try ctl("salvage", "--to", new)

        #expect(salvage.status == 0 && salvage.output.contains("losses=0"))
        #expect(try ctl("export", store: new).bytes == ctl("export").bytes)
    }

    @Test func aSalvageNeedsAnEmptyDirectory() throws {
        let salvage = try ctl("salvage", "--to", store.path)

        #expect(salvage.status == 1 && salvage.errors.contains("is not empty"))
        #expect(try ctl("verify").status == 0)
    }

    @Test func whereThereIsNoStoreThereIsNothingToDo() throws {
        let empty = store.scratch.path + "/empty"
        try FileManager.default.createDirectory(
            atPath: empty,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )

        #expect(try ctl("repair", store: empty).status == 5)
        #expect(try ctl("salvage", "--to", empty + "/new", store: empty).status == 5)
    }
}
