import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Stores whose data is mostly in segments, with the engine's own threads and real files.
@Suite struct TreeTests {
    private let directory = TemporaryDirectory()

    private func open(_ adjust: (inout Engine.Options) -> Void = { _ in }) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.cacheSize = 50_000
        options.compaction.level0Count = 2
        options.compaction.levelBaseSize = 20_000
        options.compaction.levelMultiplier = 4
        options.compaction.segmentSize = 8_000
        adjust(&options)
        return try Engine.open(at: directory.path + "/db", options: options)
    }

    @Test(arguments: UInt64(0)..<4)
    func theStoreEqualsADictionaryThroughFlushesCompactionsAndReopens(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var model: [String: String] = [:]
        var engine = try open { $0.compactionThreads = Int(seed % 2) + 1 }
        var kept: (snapshot: Snapshot, model: [String: String])?

        for step in 0..<6000 {
            let key = "key\(Int.random(in: 0..<500, using: &generator))"
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<80:
                let value = String(repeating: "\(step) ", count: step % 40)
                try engine.put(value, for: key, ack: .memory)
                model[key] = value
            case 80..<95:
                try engine.delete(key, ack: .memory)
                model[key] = nil
            case 95..<97:
                let upper = "key\(Int.random(in: 0..<500, using: &generator))"
                try engine.deleteRange(KeyRange(from: Array(key.utf8), to: Array(upper.utf8)))
                model = model.filter { $0.key < key || $0.key >= upper }
            case 97: #expect(try engine.value(for: key).map(text) == model[key], "seed \(seed)")
            case 98:
                kept = kept == nil ? (try engine.makeSnapshot(), model) : nil
            default:
                guard step % 10 == 0 else { continue }
                kept = nil
                try engine.close()
                engine = try open()
            }
        }

        if let kept { try check(kept.snapshot, kept.model, "seed \(seed), a snapshot") }
        try check(engine.makeSnapshot(), model, "seed \(seed)")
        #expect(engine.metrics.levelSegments.count > 1, "seed \(seed)")
        try engine.compact()
        try check(engine.makeSnapshot(), model, "seed \(seed), compacted")
        if let kept { try check(kept.snapshot, kept.model, "seed \(seed), compacted, a snapshot") }
        let report = try engine.verify()
        #expect(report.segments > 0)
        kept = nil
        try engine.close()
        engine = try open { $0.readOnly = true }
        try check(engine.makeSnapshot(), model, "seed \(seed), read-only")
        #expect(try engine.verify().segments == report.segments)
    }

    @Test func compactingGivesDeletedSpaceBack() throws {
        let engine = try open()
        for number in 0..<2000 {
            try engine.put(String(repeating: "v", count: 50), for: "key\(number)", ack: .memory)
        }
        try engine.flush()
        #expect(try engine.space().segmentBytes > 10_000)
        try engine.deleteRange(.all)

        try engine.compact()

        #expect(try engine.space().segmentFiles == 0)
        #expect(try contents(engine).isEmpty)
        try engine.close()
    }

    @Test func compactingAgainGivesBackWhatAReleasedSnapshotKept() throws {
        let engine = try open()
        for number in 0..<2000 { try engine.put("old", for: key(number), ack: .memory) }
        try engine.delete(key(0), ack: .memory)
        var held: Snapshot? = try engine.makeSnapshot()
        for number in 1..<2000 { try engine.put("new", for: key(number), ack: .memory) }
        try engine.compact()
        let kept = try engine.space()
        #expect(kept.versions >= 3998 && kept.deadVersions >= 1999)
        #expect(try held?.value(for: key(7)).map(text) == "old")

        held = nil
        try engine.compact()
        let space = try engine.space()
        #expect(space.versions == 1999 && space.deadVersions == 0)
        #expect(space.segmentBytes < kept.segmentBytes)
        #expect(try engine.verify().segmentEntries == 1999)
        // There is nothing left to do.
        let compactions = engine.metrics.compactions
        try engine.compact()
        #expect(engine.metrics.compactions == compactions)
        try engine.close()
    }

    @Test func theLogIsCutBackOnceSegmentsHoldItsRecords() throws {
        let engine = try open { $0.retainedLogSize = 0 }
        for number in 0..<20_000 {
            try engine.put("\(number)", for: "key\(number)", ack: .wal)
        }
        try engine.flush()
        let space = try engine.space()

        // The file that is written, the one ahead of it, and the newest finished one.
        #expect(space.logFiles <= 5, "\(space)")
        try engine.close()
        let again = try open()
        #expect(again.recovery.records < 5000)
        #expect(try again.value(for: "key0").map(text) == "0")
        try again.close()
    }

    @Test func aCursorGoesOnThroughFlushesAndCompactions() throws {
        let engine = try open()
        for number in 0..<1000 {
            try engine.put("\(number)", for: key(number), ack: .memory)
        }
        var cursor = try engine.makeSnapshot().cursor()
        for number in 0..<1000 {
            #expect(try cursor.next())
            #expect(Array(cursor.key.copied) == Array(key(number).utf8))
            if number % 100 == 50 {
                for other in 0..<1000 where other % 3 == 0 {
                    try engine.put("new", for: key(other), ack: .memory)
                }
                try engine.compact()
            }
        }
        #expect(try !cursor.next())
        for number in (0..<1000).reversed() {
            #expect(try cursor.previous())
            #expect(text(Array(cursor.value.copied)) == "\(number)")
        }
        try engine.close()
    }

    @Test func theSizeOfARangeIsAboutRight() throws {
        let engine = try open { $0.writeBufferSize = 1 << 20 }
        for number in 0..<5000 {
            let value = String(number &* 7919, radix: 36)
            try engine.put(value + value, for: key(number), ack: .memory)
        }
        try engine.compact()
        let all = try engine.approximateSize(of: .all)
        let half = try engine.approximateSize(of: KeyRange(to: Array(key(2500).utf8)))

        #expect(all > 20_000)
        #expect(half > all * 4 / 10 && half < all * 6 / 10)
        #expect(try engine.approximateSize(of: KeyRange(from: Array("z".utf8))) == 0)
        try engine.close()
    }

    @Test func aPauseKeepsCompactionsFromStartingAndNoFlush() throws {
        let engine = try open()
        try engine.pauseCompactions()
        for number in 0..<1500 {
            try engine.put("\(number)", for: key(number), ack: .memory)
        }
        try engine.flush()

        #expect(engine.metrics.compactions == 0 && engine.metrics.flushes > 2)
        try engine.resumeCompactions()
        #expect(code { try engine.resumeCompactions() } == .invalidArgument)
        try engine.compact()
        #expect(engine.metrics.compactions > 0)
        try engine.close()
    }

    @Test func aReceiptWaitsForItsSegment() async throws {
        let engine = try open()
        let first = try await engine.put("1", for: "a", ack: .memory)
        try await first.reached(.segment)
        #expect(engine.metrics.flushes == 1)
        #expect(try engine.space().segmentFiles == 1)
        try await first.reached(.disk)
        try await engine.close()
    }

    /// What was read from the log is flushed with the epoch it was written in, also when nothing is
    /// written after the open.
    @Test func aFlushAfterAnOpenWithoutAWriteKeepsTheEpochs() throws {
        let first = try open()
        let epoch = try first.put("1", for: "a", ack: .disk).position.epoch
        try first.close()

        let second = try open()
        #expect(try second.write(WriteBatch(), ack: .memory).position.epoch == epoch)
        try second.flush()
        let state = try #require(second.pipeline).maintenance.manifest.state
        #expect(state.epochs.map(\.epoch) == [epoch])
        #expect(state.flushed.epoch == epoch && state.flushed.sequence == 1)
        try second.close()

        let third = try open()
        let next = try third.put("2", for: "b", ack: .disk).position
        #expect(next.epoch.number == epoch.number + 1 && next.sequence == 2)
        try third.close()
    }

    @Test func eventsTellOfFlushesAndCompactionsUntilTheEnd() async throws {
        let engine = try open()
        let events = engine.events
        for number in 0..<2000 {
            try await engine.put("\(number)", for: key(number), ack: .memory)
        }
        try await engine.compact()
        let last = engine.lastSequence
        try await engine.close()

        var found: [Event] = []
        for await event in events { found.append(event) }
        let isFlushed = found.contains {
            if case .flushed(let bytes, last) = $0 { bytes > 0 } else { false }
        }
        let isCompacted = found.contains {
            if case .compacted(0, let read, let written) = $0 {
                read > 0 && written > 0
            } else {
                false
            }
        }
        let isBegun = found.contains { if case .epochBegan = $0 { true } else { false } }
        #expect(isFlushed && isCompacted && isBegun)
        for await event in engine.events { Issue.record("\(event) after the end") }
    }

    @Test func aSuspendingLookupAnswersFromMemoryFromTheCacheAndFromTheFile() async throws {
        let engine = try open()
        for number in 0..<500 {
            try await engine.put("\(number)", for: key(number), ack: .memory)
        }
        try await engine.flush()
        try await engine.put("new", for: key(1), ack: .memory)
        let misses = engine.metrics.cacheMisses

        for number in 0..<500 {
            let expected = number == 1 ? "new" : "\(number)"
            #expect(try await engine.value(for: key(number)).map(text) == expected)
        }
        #expect(try await engine.value(for: "none") == nil)
        #expect(engine.metrics.cacheMisses > misses)
        try await engine.close()
        await #expect(throws: EngineError.self) { _ = try await engine.value(for: "a") }
    }

    @Test func writesThatWouldWaitForACompactionCanBeRefused() throws {
        let engine = try open { options in
            options.failsIfStalled = true
            options.compaction.level0Count = 1
        }
        try engine.pauseCompactions()
        var refusal: EngineError?
        for number in 0..<100_000 where refusal == nil {
            do throws(EngineError) {
                try engine.put("\(number)", for: key(number), ack: .memory)
            } catch {
                refusal = error
            }
        }

        #expect(refusal?.code == .stalled)
        try engine.resumeCompactions()
        try engine.compact()
        #expect(throws: Never.self) { try engine.put("v", for: "k", ack: .memory) }
        try engine.close()
    }

    // MARK: - Helpers

    private func key(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Compares all that a snapshot sees, forward, back and key by key.
    private func check(
        _ snapshot: Snapshot,
        _ model: [String: String],
        _ what: String
    ) throws {
        let sorted = model.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        var forward: [String] = []
        var cursor = try snapshot.cursor()
        while try cursor.next() {
            forward.append(text(cursor.key.copied) + "=" + text(cursor.value.copied))
        }
        #expect(forward == sorted, "\(what), forward")
        var back: [String] = []
        while try cursor.previous() {
            back.append(text(cursor.key.copied) + "=" + text(cursor.value.copied))
        }
        #expect(back.reversed() == sorted, "\(what), back")
        for number in 0..<500 {
            let key = "key\(number)"
            #expect(try snapshot.value(for: key).map(text) == model[key], "\(what), \(key)")
        }
    }
}
