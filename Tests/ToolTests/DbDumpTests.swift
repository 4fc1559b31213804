import Foundation
import StorageEngine
import Testing

/// The contract of `enginedump db`.
struct DbDumpTests {
    private let store: SegmentStore

    init() throws { store = try SegmentStore() }

    @Test func theStoreIsShownByLevels() throws {
        let json = try store.dump("db", store.path, "--format", "json")
        let text = try store.dump("db", store.path)

        #expect(json.status == 0 && text.status == 0)
        #expect(
            try json.members("store") == [
                "file", "floor", "historyID", "lastStamp", "manifest", "memberID", "offset", "type",
            ]
        )
        #expect(
            try json.members("state") == [
                "deltaHorizon", "epochs", "file", "flushed", "logStart", "nextSegmentNumber",
                "offset", "segments", "size", "type",
            ]
        )
        #expect(
            try json.members("level")
                == ["entries", "file", "level", "offset", "segments", "size", "type"]
        )
        #expect(try json.members("log") == ["file", "number", "offset", "size", "type"])
        let segments = try json.objects("segment")
        #expect(segments.count == (try store.names("segment").count))
        #expect(segments.first?["level"] as? Int == 0)
        #expect(segments.last?["smallestKey"] as? String == "key1000")
        #expect(try json.objects("log").count == (try store.names("log").count))
        #expect(try json.objects("orphan").isEmpty && json.objects("error").isEmpty)
        #expect(text.output.contains("segment level=0 number="))
    }

    @Test func aCheckOfAGoodStoreIsOneLine() throws {
        let json = try store.dump("db", store.path, "--check", "--format", "json")

        #expect(json.status == 0 && json.lines.count == 1)
        #expect(
            try json.members("summary") == [
                "damaged", "edits", "entries", "files", "frames", "gaps", "lastSequence",
                "missingFiles", "missingSegments", "records", "segments", "size", "torn", "type",
            ]
        )
        let summary = try json.object()
        #expect(summary["entries"] as? Int == 302 && summary["lastSequence"] as? Int == 304)
        #expect(summary["damaged"] as? Bool == false)
    }

    @Test func filesThatNothingNamesAreToldAndAreNoDamage() throws {
        let first = try #require(try store.names("segment").first)
        let copies = ["0000000777.segment", "0000000778.manifest", "STORE.tmp", "notes.txt"]
        for copy in copies {
            try FileManager.default.copyItem(
                atPath: store.path + "/" + first,
                toPath: store.path + "/" + copy
            )
        }

        let json = try store.dump("db", store.path, "--format", "json")
        let check = try store.dump("db", store.path, "--check")

        let orphans = try json.objects("orphan")
        #expect(json.status == 0 && check.status == 0 && check.lines.count == 1)
        #expect(Set(orphans.compactMap { $0["file"] as? String }) == Set(copies))
        #expect(orphans.allSatisfy { $0["reason"] is String })
    }

    @Test func aMissingSegmentIsCorruption() throws {
        let first = try #require(try store.names("segment").first)
        try store.remove(first)

        let json = try store.dump("db", store.path, "--format", "json")
        let check = try store.dump("db", store.path, "--check")

        let error = try #require(try json.objects("error").first)
        #expect(json.status == 2 && error["file"] as? String == first)
        #expect(check.status == 2 && check.output.contains("missingSegments=1"))
    }

    @Test func aDamagedSegmentIsNoticedByACheck() throws {
        let first = try #require(try store.names("segment").first)
        try store.damage(first, at: 100)

        let plain = try store.dump("db", store.path)
        let check = try store.dump("db", store.path, "--check", "--format", "json")

        #expect(plain.status == 0 && check.status == 2)
        #expect(try check.objects("error").first?["file"] as? String == first)
    }

    @Test func aDamagedManifestIsToldAndTheLogIsShown() throws {
        let manifest = try #require(try store.names("manifest").last)
        try store.damage(manifest, at: 100)

        let json = try store.dump("db", store.path, "--format", "json")

        #expect(json.status == 2)
        #expect(try json.objects("error").first?["file"] as? String == manifest)
        #expect(try !json.objects("log").isEmpty)
    }

    @Test func aDamagedStoreFileIsToldAndTheNewestManifestIsRead() throws {
        try store.damage("STORE", at: 40)

        let json = try store.dump("db", store.path, "--format", "json")

        #expect(json.status == 2)
        #expect(try json.objects("error").first?["file"] as? String == "STORE")
        #expect(try json.objects("segment").count == (try store.names("segment").count))
    }

    @Test func aMissingLogFileEndsWithThree() throws {
        let last = try #require(try store.names("log").last)
        try store.remove(last)

        let plain = try store.dump("db", store.path)
        let check = try store.dump("db", store.path, "--check")

        #expect(plain.status == 3 && check.status == 3)
        #expect(check.output.contains("missingFiles=true"))
    }

    @Test func whatFlushesMadeUselessIsNotMissing() throws {
        for key in 0..<2 {
            var options = Engine.Options()
            options.retainedLogSize = 0
            let engine = try Engine.open(at: store.path, options: options)
            try engine.put([1], for: SegmentStore.key(key))
            try engine.flush()
            try engine.close()
        }
        try #require(try store.names("log").first != "0000000001.log")

        let wal = try store.dump("wal", store.path, "--check")

        #expect(wal.status == 0)
    }

    @Test func noStoreIsNoStore() throws {
        let tool = try store.dump("db", store.scratch.path)

        #expect(tool.status == 5 && tool.errors.hasPrefix("error: "))
    }

    /// Beside an engine that flushes and compacts all the time, nothing is ever damaged; it may be
    /// too fast to be looked at.
    @Test func aRunningEngineIsNoDamage() throws {
        var options = Engine.Options()
        options.writeBufferSize = 16_384
        let engine = try Engine.open(at: store.path, options: options)
        let stop = Stop()
        let thread = Thread {
            var number = 0
            while !stop.isSet {
                for _ in 0..<400 {
                    number += 1
                    do {
                        try engine.put(
                            [UInt8](repeating: 7, count: 100),
                            for: SegmentStore.key(number % 5000),
                            ack: .memory
                        )
                    } catch {}
                }
                do { try engine.flush() } catch {}
                if number % 2000 == 0 { do { try engine.compact() } catch {} }
            }
            stop.end()
        }
        thread.start()
        for _ in 0..<2 {
            let check = try store.dump("db", store.path, "--check")
            let segments = try store.dump("segment", store.path, "--check")

            let wasTooFast = check.status == 4 && check.errors.contains("changed during each")
            #expect(check.status == 0 || wasTooFast, "\(check.output) \(check.errors)")
            #expect(segments.status == 0, "\(segments.output) \(segments.errors)")
        }
        stop.set()
        try engine.close()
    }
}

/// Ends a thread, and waits for its end.
private final class Stop: @unchecked Sendable {
    private let condition = NSCondition()
    private var isStopping = false
    private var hasEnded = false

    var isSet: Bool {
        condition.lock()
        defer { condition.unlock() }
        return isStopping
    }

    func end() {
        condition.lock()
        hasEnded = true
        condition.broadcast()
        condition.unlock()
    }

    func set() {
        condition.lock()
        isStopping = true
        while !hasEnded { condition.wait() }
        condition.unlock()
    }
}
