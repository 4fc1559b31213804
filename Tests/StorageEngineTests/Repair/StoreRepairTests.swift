import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What a repair does with each kind of damage, and what the history says of it afterwards.
@Suite struct StoreRepairTests {
    private let store: SampleStore
    private let check: RepairCheck
    private let mark: StoreMark

    init() throws {
        store = try SampleStore()
        check = RepairCheck(store)
        mark = try Self.mark(store.fileSystem)
    }

    private static func mark(_ fileSystem: SimulatedFileSystem) throws -> StoreMark {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: fileSystem)
        return try #require(try StoreInspector.mark(of: directory))
    }

    private func state(_ fileSystem: SimulatedFileSystem) throws -> ManifestState {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: fileSystem)
        return try StoreInspector.read(directory) { _, _ in }.manifest.state
    }

    private func epochs() throws -> [EpochEntry] {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: store.fileSystem)
        var epochs: [EpochEntry] = []
        _ = try LogInspector(directory).runHeaders { _, event in
            if case .file(let header?, _) = event { epochs = epochs.continued(with: header.epochs) }
        }
        return epochs
    }

    private func repair(_ damages: Damage...) throws -> (SimulatedFileSystem, RepairReport) {
        let image = try check.image(damages)
        return (image, try #require(try RepairCheck.repair(image)))
    }

    @Test func nothingIsDoneWhenNothingIsWrong() throws {
        let image = try check.image([])

        #expect(try RepairCheck.repair(image) == nil)
        #expect(image.trace.isEmpty)
    }

    @Test func aPlanChangesNothing() throws {
        let image = try check.image([.flip("0000000003.segment", at: 600), .delete("STORE")])
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: image)
        let repair = try StoreRepair(directory, environment: .system())

        #expect(repair.report.isNeeded && !repair.report.losses.isEmpty)
        #expect(repair.report.actions.contains { $0.kind == .copySegment })
        #expect(image.trace.isEmpty)
    }

    /// The damaged block of a segment is lost with the versions it held; the rest stays. No replica
    /// has a history with such a hole: none of its positions names this one.
    @Test func aDamagedBlockIsLeftOutAndTheHistoryIsAnother() throws {
        let (image, report) = try repair(.flip("0000000003.segment", at: 600))

        let loss = try #require(report.losses.first)
        #expect(report.losses.count == 1 && loss.kind == .versions)
        #expect(loss.file == "0000000003.segment" && loss.sequences == 1...39)
        let lost = store.keys.filter { loss.keys.contains($0) }
        #expect(!lost.isEmpty && lost.count < 30)
        let after = try state(image)
        let entry = try #require(after.epochs.last)
        let last = try #require(try epochs().last)
        #expect(try Self.mark(image).memberID != mark.memberID)
        #expect(try Self.mark(image).historyID == mark.historyID)
        #expect(entry.epoch.number == last.epoch.number + 1)
        #expect(entry.lastSequenceBefore == mark.floor.lastSequence)
        #expect(entry.logHashBefore != mark.floor.logHash)
        #expect(after.deltaHorizon == mark.floor.lastSequence)
        #expect(after.flushed.logHash == LogHash.begin(entry.epoch, after: entry.logHashBefore))
    }

    /// A log that is cut leaves what the history was once: a replica that is there agrees.
    @Test func aLogIsCutAtItsHoleAndTheHistoryIsABeginning() throws {
        let (image, report) = try repair(.flip("0000000010.log", at: 4100))

        #expect(report.losses.map(\.kind) == [.unreadable, .behindHole])
        #expect(report.actions.contains { $0.kind == .cutLog })
        let header = try #require(try epochs().first { $0.epoch.number == 4 })
        let entry = try #require(try state(image).epochs.last)
        #expect(entry.epoch.number == 6 && report.lastSequence == header.lastSequenceBefore)
        #expect(entry.lastSequenceBefore == header.lastSequenceBefore)
        #expect(
            entry.logHashBefore == LogHash.begin(header.epoch, after: header.logHashBefore)
        )
        #expect(try state(image).deltaHorizon < report.lastSequence)
        #expect(try Self.mark(image).memberID != mark.memberID)
        let kept = image.names(inDirectory: "db/quarantine", .durable)
        #expect(kept == ["0000000010.log-4096-1", "0000000011.log-0-1"])
    }

    @Test func aSegmentThatTheLogStillHasIsReadAgainAndNothingIsLost() throws {
        let (image, report) = try repair(.delete("0000000011.segment"))

        #expect(report.losses.isEmpty)
        #expect(report.actions.map(\.kind).contains(.rereadSegment))
        #expect(try Self.mark(image).memberID == mark.memberID)
        #expect(try state(image).epochs == (try epochs()))
        #expect(try state(image).flushed.logHash == mark.floor.logHash)
        let engine = try SampleStore.open(image)
        try check.check(engine, [], isPrefix: true, "read again")
    }

    @Test func damageBesideTheEntriesOfASegmentLosesNothing() throws {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: store.fileSystem)
        var filter: UInt64 = 0
        try SegmentInspector(number: 3, in: directory).run(.blocks) { place, event in
            if case .block(let block) = event, block.kind == "filter" { filter = place.offset }
        }
        try #require(filter > 0)

        let (image, report) = try repair(.flip("0000000003.segment", at: filter + 40))

        #expect(report.losses.isEmpty && report.actions.map(\.kind) == [.quarantine, .copySegment])
        #expect(try Self.mark(image).memberID == mark.memberID)
        #expect(try Self.mark(image).floor == mark.floor)
        #expect(image.names(inDirectory: "db", .cached)?.contains("0000000011.log") == true)
    }

    @Test func aStoreOfANewerProgramIsLeftAlone() throws {
        let image = try check.image([])
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: image)
        var bytes = ByteBuffer()
        let encoded = mark.encoded()
        bytes.append(UnsafeRawBufferPointer(rebasing: encoded.bytes.dropLast(8)))
        bytes.store(UInt64(3) | 120 << 32, at: 8)
        bytes.append(Checksum.xxh3(bytes.bytes))
        try directory.durableReplace(.store, with: bytes)
        image.forgetTrace()

        #expect(code { try RepairCheck.repair(image) } == .unsupportedFormat)
        #expect(image.trace.isEmpty)
    }

    @Test func withoutAManifestAllSegmentsAreMerged() throws {
        let (image, report) = try repair(.delete("0000000002.manifest"))

        #expect(report.losses.map(\.kind) == [.unknownSegments])
        let engine = try SampleStore.open(image)
        // Nothing was left behind that a compaction had replaced: all is as it was.
        try check.check(engine, [], isPrefix: true, "merged")
        #expect(engine.lastSequence == mark.floor.lastSequence)
        #expect(engine.metrics.levelSegments.reduce(0, +) == 1)
    }

    /// A segment of a higher number than a lost manifest says is not overwritten.
    @Test func numbersAreNeverUsedAgain() throws {
        let image = try check.image([.duplicate("0000000003.segment", as: "0000000042.segment")])
        try Damage.delete("0000000002.manifest").apply(to: image)
        try RepairCheck.repair(image)

        let numbers = try state(image).levels.joined().map(\.number)
        #expect(numbers.allSatisfy { $0 > 42 } && !numbers.isEmpty)
    }

    /// The log that told the last stamp is gone.
    @Test func stampsGoOnBehindARepair() throws {
        let (image, _) = try repair(.flip("0000000010.log", at: 4100))
        let last = try Self.mark(image).lastStamp
        let engine = try SampleStore.open(image, clock: SimulatedClock(wall: 1000))
        let stepper = EngineStepper(engine)
        var batch = WriteBatch()
        try batch.put("value", for: "key")
        try SampleStore.settle(stepper.submit(batch, ack: .disk), stepper)
        try engine.close()

        var stamps: [UInt64] = []
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: image)
        _ = try LogInspector(directory).run { _, event in
            if case .record(let head, _) = event { stamps.append(head.stamp) }
        }
        #expect(last > 1000 << 16 && stamps.count == 1 && stamps[0] > last)
    }

    // MARK: - Salvage

    @Test func aSalvageNeedsNeitherStoreNorManifest() throws {
        let image = try check.image([.delete("STORE"), .delete("0000000002.manifest")])

        let report = try RepairCheck.salvage(image)

        #expect(report.keys == UInt64(store.contents.count))
        #expect(report.historyID != mark.historyID)
        #expect(report.losses.map(\.kind) == [.unknownSegments, .unknownEnd])
        let engine = try SampleStore.open(image, at: "salvaged")
        try check.check(engine, [], isPrefix: true, "salvaged")
    }

    @Test func aSalvageCopiesWhatLiesBehindAHole() throws {
        let image = try check.image([.flip("0000000010.log", at: 4100)])

        let report = try RepairCheck.salvage(image)

        // The records of the last file are there, those of the damaged one are not.
        #expect(report.losses.map(\.kind) == [.unreadable])
        #expect(report.lastSequence == mark.floor.lastSequence)
        let engine = try SampleStore.open(image, at: "salvaged")
        let key = Array("key1040".utf8)
        #expect(try engine.value(for: key) == store.contents[key])
    }

    @Test func aSalvageIsNeverMadeInPlace() throws {
        let image = try check.image([.delete("STORE")])

        #expect(code { _ = try RepairCheck.salvage(image, to: "db") } == .invalidArgument)
        #expect(image.trace.isEmpty)
    }

    @Test func aSalvageThatIsCutShortHasMadeNoStore() throws {
        let image = try check.image([.delete("STORE")])
        _ = try RepairCheck.salvage(image)
        var history = image.history()
        var unfinished = 0

        while history.position < history.end {
            history.advance(to: history.position + 1)
            let crashed = history.crashed(.none)
            do throws(EngineError) {
                var engine = try SampleStore.open(crashed, at: "salvaged")
                try check(engine)
                engine = try SampleStore.open(history.crashed(.all), at: "salvaged")
                try check(engine)
            } catch {
                unfinished += 1
            }
        }
        #expect(unfinished > 10)
        #expect(history.position == history.end)
    }

    private func check(_ engine: Engine) throws(EngineError) {
        // A new store is made where nothing is yet.
        guard engine.lastSequence > 0 else { return }
        do {
            try check.check(engine, [], isPrefix: true, "a salvage cut short")
        } catch {
            Issue.record("\(error)")
        }
    }

    @Test func whereThereIsNoStoreNothingIsRepaired() throws {
        let fileSystem = SimulatedFileSystem()
        _ = try StoreDirectory.make(path: "db", in: fileSystem)

        #expect(code { try RepairCheck.repair(fileSystem) } == .notAStore)
        #expect(code { _ = try RepairCheck.salvage(fileSystem) } == .notAStore)
    }
}
