import Foundation
import StorageEngine
import Testing

/// The contract of `enginedump diff`.
struct DiffDumpTests {
    private let scratch: ScratchDirectory
    private let a: String
    private let b: String

    /// A store with segments and a log, and a checkpoint of it.
    init() throws {
        scratch = try ScratchDirectory()
        a = scratch.path + "/a"
        b = scratch.path + "/b"
        let engine = try Engine.open(at: a)
        for number in 0..<100 { try Self.put("value\(number)", number, in: engine) }
        try engine.flush()
        for number in 90..<120 { try Self.put("later\(number)", number, in: engine) }
        try engine.checkpoint(at: b)
        try engine.close()
    }

    private static func put(_ value: String, _ number: Int, in engine: Engine) throws {
        try engine.put(value, for: "key\(1000 + number)", ack: .wal)
    }

    /// Changes a store.
    private func change(_ path: String, _ body: (Engine) throws -> Void) throws {
        let engine = try Self.open(path)
        try body(engine)
        try engine.close()
    }

    /// A tool that another test starts holds the lock of a store that was just closed, until it
    /// executes.
    private static func open(_ path: String) throws -> Engine {
        for _ in 0..<100_000 {
            do throws(EngineError) {
                return try Engine.open(at: path)
            } catch {
                guard error.code == .locked else { throw error }
                sched_yield()
            }
        }
        return try Engine.open(at: path)
    }

    private func diff(_ arguments: String...) throws -> Tool {
        try Tool("enginedump", ["diff", a, b] + arguments, in: scratch)
    }

    private func damage(_ path: String) throws {
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.seek(toOffset: 50)
        let byte = try file.read(upToCount: 1)?.first ?? 0
        try file.seek(toOffset: 50)
        try file.write(contentsOf: Data([~byte]))
        try file.close()
    }

    @Test func equalStoresHaveNoDifference() throws {
        let json = try diff("--format", "json")
        let text = try diff()

        #expect(json.status == 0 && json.lines.count == 1, "\(json.output)\(json.errors)")
        #expect(
            try json.members("summary") == [
                "agreesThrough", "damaged", "differences", "equal", "keys", "lastSequenceA",
                "lastSequenceB", "missingFiles", "sequenceA", "sequenceB", "type", "undetermined",
            ]
        )
        let summary = try json.object()
        #expect(summary["keys"] as? Int == 120 && summary["equal"] as? Int == 120)
        #expect(summary["agreesThrough"] as? Int == 130 && summary["sequenceA"] as? Int == 130)
        #expect(text.status == 0 && text.output.contains("differences=0"))
    }

    @Test func whatOneHasMoreIsNoDifference() throws {
        try change(a) { engine in
            for number in 50..<70 { try Self.put("more", number, in: engine) }
            try engine.delete("key1001")
            try engine.put("new", for: "other")
        }
        let exact = try diff("--format", "json").object()
        #expect(exact["differences"] as? Int == 0 && exact["equal"] as? Int == 120)
        #expect(exact["undetermined"] as? Int == 0 && exact["sequenceA"] as? Int == 130)

        // Once it is flushed and compacted, what was there before is not known any more.
        try change(a) { engine in
            try engine.flush()
            try engine.compact()
        }
        let json = try diff("--format", "json")

        let summary = try json.object()
        #expect(json.status == 0 && summary["differences"] as? Int == 0)
        #expect(summary["undetermined"] as? Int == 22 && summary["equal"] as? Int == 99)
        #expect(summary["lastSequenceA"] as? Int == 152)
    }

    @Test func storesThatPartedAreToldFromWhere() throws {
        try change(a) { engine in
            try engine.put("mine", for: "key1000")
            try engine.put("same", for: "key1001")
            try engine.put("a", for: "onlyA")
            try engine.put("x", for: "both")
        }
        try change(b) { engine in
            try engine.put("yours", for: "key1000")
            try engine.put("b", for: "onlyB")
            try engine.put("same", for: "key1001")
            try engine.deleteRange(KeyRange(prefix: Array("key101".utf8)))
        }

        let json = try diff("--format", "json")

        #expect(json.status == 3)
        let found = try json.objects("difference")
        let kinds = found.compactMap { $0["kind"] as? String }
        #expect(kinds.filter { $0 == "onlyInA" }.count == 12)
        #expect(Set(kinds) == ["epoch", "logHash", "onlyInA", "onlyInB", "sequence", "value"])
        #expect(
            try json.members("difference") == [
                "epoch", "kind", "lastSequenceBeforeA", "lastSequenceBeforeB", "logHashBeforeA",
                "logHashBeforeB", "starterA", "starterB", "type",
            ]
        )
        let hash = try #require(found.first { $0["kind"] as? String == "logHash" })
        #expect(hash["agreesThrough"] as? Int == 130 && hash["differsFrom"] as? Int == 131)
        let value = try #require(found.first { $0["kind"] as? String == "value" })
        #expect(
            value.keys.sorted() == [
                "key", "kind", "sequenceA", "sequenceB", "type", "valueA", "valueB",
            ]
        )
        #expect(value["key"] as? String == "key1000" && value["valueB"] as? String == "yours")
        #expect(try json.objects("summary").first?["agreesThrough"] as? Int == 130)

        // Before they parted there is no difference but in the histories.
        let before = try diff("--at-seq", "130", "--contents-only", "--format", "json")
        #expect(before.status == 0, "\(before.output)")
        let limited = try diff("--limit", "2", "--format", "json")
        #expect(limited.status == 3 && limited.lines.count == 3)
        let part = try diff("--prefix", "6f6e6c79", "--no-values", "--hex", "--format", "json")
        let keys = try part.objects("difference").compactMap { $0["key"] as? String }
        #expect(keys == ["6f6e6c7941", "6f6e6c7942"] && !part.output.contains("value"))
        let text = try diff("--prefix", "onlyA")
        #expect(text.output.contains("difference kind=onlyInA key=onlyA sequenceA=133 valueA=a"))
    }

    @Test func theFirstOfManyDifferentRecordsIsFound() throws {
        for (path, value) in [(a, "a"), (b, "b")] {
            try change(path) { engine in
                for number in 0..<5000 {
                    try engine.put(value, for: "x\(number % 7)", ack: .memory)
                }
            }
        }
        let json = try diff("--format", "json", "--prefix", "none")

        let found = try json.objects("difference").first { $0["kind"] as? String == "logHash" }
        #expect(found?["differsFrom"] as? Int == 131)
    }

    @Test func differentHistoriesAreComparedByTheirContents() throws {
        try FileManager.default.removeItem(atPath: b)
        let export = try Tool("enginectl", ["--db", a, "export"], in: scratch)
        let file = try scratch.write(export.bytes, to: "export.tsv")
        let imported = try Tool("enginectl", ["--db", b, "import", file], in: scratch)
        try #require(imported.status == 0)

        let json = try diff("--format", "json")
        let contents = try diff("--contents-only", "--format", "json")

        #expect(json.status == 3 && json.lines.count == 2)
        #expect(
            try json.members("difference") == ["historyA", "historyB", "kind", "type"]
        )
        #expect(contents.status == 0 && contents.lines.count == 1)
        #expect(try contents.object()["equal"] as? Int == 120)
        #expect(try contents.object()["sequenceB"] as? Int == 120)
        #expect(try diff("--at-seq", "100").status == 1)
    }

    @Test func damageIsToldWithItsDirectory() throws {
        try change(b) { try $0.put("last", for: "last") }
        let names = try scratch.names(in: "b")
        let segment = try #require(names.first { $0.hasSuffix(".segment") })
        // A segment of its own: linked ones are shared with the other store.
        let path = b + "/" + segment
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try FileManager.default.removeItem(atPath: path)
        try bytes.write(to: URL(fileURLWithPath: path))
        try damage(path)

        let json = try diff("--format", "json")

        #expect(json.status == 2)
        #expect(try json.objects("error").first?["file"] as? String == path)
        #expect(try json.objects("summary").first?["damaged"] as? Bool == true)
        try FileManager.default.removeItem(atPath: path)
        #expect(try diff().status == 4)
    }

    @Test func argumentsAreChecked() throws {
        #expect(try diff("--at-seq", "131").status == 1)
        let none = try Tool("enginedump", ["diff", a, scratch.path], in: scratch)
        #expect(none.status == 5 && none.errors.hasPrefix("error: "))
        let missing = try Tool("enginedump", ["diff", a, a + "-none"], in: scratch)
        #expect(missing.status == 4)
    }

    /// A store that a running engine changes all the time is no different from itself.
    @Test func aRunningEngineIsNoDifference() throws {
        var options = Engine.Options()
        options.writeBufferSize = 16_384
        let engine = try Engine.open(at: a, options: options)
        let work = Thread {
            do {
                for number in 0..<8000 {
                    let key = "key\(1000 + number * 7 % 500)"
                    if number % 5 == 0 {
                        try engine.delete(key, ack: .memory)
                    } else {
                        try engine.put([UInt8](repeating: 7, count: 100), for: key, ack: .memory)
                    }
                }
                try engine.flush()
                try engine.compact()
                try engine.close()
            } catch {
                Issue.record(error)
            }
        }
        work.start()
        for _ in 0..<4 {
            let tool = try Tool("enginedump", ["diff", a, a], in: scratch)
            let wasTooFast = tool.status == 4
            #expect(tool.status == 0 || wasTooFast, "\(tool.output) \(tool.errors)")
        }
        while !work.isFinished { sched_yield() }
    }
}
