import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Writing manifests, and reading them back.
@Suite struct ManifestFileTests {
    @Test(arguments: UInt64(0)..<8)
    func whatWasCommittedIsRead(seed: UInt64) throws {
        let store = try ManifestStore()
        var maker = EditMaker(seed: seed)
        var writer = store.writer()

        for step in 0..<60 {
            if step % 17 == 16 {
                if seed % 2 == 0 { try writer.close() }
                writer = store.writer(from: try store.state())
            }
            try writer.commit(maker.next())

            #expect(maker.model.matches(writer.state), "step \(step)")
            #expect(try store.state() == writer.state, "step \(step)")
        }
        try writer.close()
        #expect(try store.state() == writer.state)
        #expect(try store.manifestNumbers() == [store.markFile.mark.manifest])
        #expect(store.markFile.mark.manifest == 4)
    }

    @Test func aManifestThatHasGrownTooLargeIsReplaced() throws {
        let store = try ManifestStore()
        var maker = EditMaker(seed: 1)
        maker.padding = 300
        let writer = store.writer(fileSizeMin: 8192)
        var sizes: [Int] = []

        for _ in 0..<150 {
            try writer.commit(maker.next())
            sizes.append(try store.bytes(ofManifest: store.markFile.mark.manifest).count)
        }

        #expect(try store.state() == writer.state)
        #expect(store.markFile.mark.manifest > 2)
        #expect(store.markFile.mark.manifest < 20)
        #expect(try store.manifestNumbers() == [store.markFile.mark.manifest])
        let drops = zip(sizes, sizes.dropFirst()).count { $0 > $1 }
        #expect(drops == Int(store.markFile.mark.manifest) - 1)
    }

    @Test func moreThanFitsOneEditIsReadToo() throws {
        let store = try ManifestStore()
        let writer = store.writer()
        try writer.commit(VersionEdit())

        try writer.commit(Self.largeEdit)

        #expect(store.markFile.mark.manifest == 2)
        #expect(try store.state() == writer.state)
        #expect(try store.state().levels[4].count == 140)
        var later = VersionEdit()
        later.deltaHorizon = 7
        try writer.commit(later)
        #expect(store.markFile.mark.manifest == 2)
        #expect(try store.state() == writer.state)
        // Losing the second half of a snapshot is no torn tail, even without anything behind it.
        let file = try store.directory.open(.manifest(2), for: .readWrite)
        let length = try Self.header(file).snapshotEnd
        try file.truncate(to: length)
        #expect(throws: Never.self) { try store.state() }
        try file.truncate(to: length - 64)
        #expect(Self.code { try store.state() } == .corruption)
    }

    /// More than is appended to a file.
    private static var largeEdit: VersionEdit {
        var edit = VersionEdit()
        edit.nextSegmentNumber = 200
        for number in 1...140 as ClosedRange<UInt64> {
            var info = SegmentInfo(number: number)
            info.smallest = [UInt8(number)] + [UInt8](repeating: 1, count: Limits.keySize - 1)
            info.largest = [UInt8(number)] + [UInt8](repeating: 2, count: Limits.keySize - 1)
            edit.added.append(LevelSegment(level: 4, info: info))
        }
        return edit
    }

    @Test func nothingIsAppendedToAFileThatTheMarkMayNotNameAnyMore() throws {
        let store = try ManifestStore()
        let writer = store.writer()
        try writer.commit(VersionEdit())
        var fault = SimulatedFault(.rename, errno: EIO)
        fault.takesEffect = true
        store.fileSystem.inject(fault)
        #expect(Self.code { try writer.commit(Self.largeEdit) } == .io)
        #expect(try store.manifestNumbers() == [1, 2])

        var edit = VersionEdit()
        edit.deltaHorizon = 5
        try writer.commit(edit)

        #expect(try store.state() == writer.state)
        #expect(try store.state().segmentCount == 0)
        #expect(try store.manifestNumbers() == [3])
    }

    @Test func leftoversAreRemovedAndTheirNumbersNotUsed() throws {
        let store = try ManifestStore()
        try store.directory.durableCreate(.manifest(3), contents: [1, 2, 3])
        try store.directory.durableCreate(.manifest(9), contents: [])
        let writer = store.writer()
        var maker = EditMaker(seed: 5)

        try writer.commit(maker.next())

        #expect(store.markFile.mark.manifest == 10)
        #expect(try store.manifestNumbers() == [10])
        #expect(try store.state() == writer.state)
    }

    @Test func withoutANumberLeftACommitIsRefused() throws {
        let store = try ManifestStore()
        try store.directory.durableCreate(.manifest(.max), contents: [])
        let writer = store.writer()

        #expect(Self.code { try writer.commit(VersionEdit()) } == .corruption)
    }

    @Test func theFloorAndTheManifestsNumberDoNotUndoEachOther() throws {
        let store = try ManifestStore()
        let writer = store.writer()
        let floor = LogEnd(fileNumber: 1, length: 4200, lastSequence: 9, logHash: 3)

        try writer.commit(VersionEdit())
        try store.markFile.update { $0.floor = floor }
        try store.writer(from: writer.state).commit(VersionEdit())

        let mark = try ManifestStore.mark(store.directory)
        #expect(mark == store.markFile.mark)
        #expect((mark.floor, mark.manifest) == (floor, 2))
    }

    @Test func afterCloseTheNextCommitBeginsANewFile() throws {
        let store = try ManifestStore()
        let writer = store.writer()
        var maker = EditMaker(seed: 6)
        try writer.commit(maker.next())
        try writer.close()
        try writer.close()

        try writer.commit(maker.next())

        #expect(store.markFile.mark.manifest == 2)
        #expect(try store.state() == writer.state)
    }

    // MARK: - Refusals

    @Test func aMissingManifestIsCorruption() throws {
        let store = try ManifestStore()
        try store.markFile.update { $0.manifest = 1 }

        #expect(Self.code { try store.state() } == .corruption)
    }

    @Test func anEmptyFileIsCorruption() {
        #expect(Self.code { try ManifestStore.read([]) } == .corruption)
        let nothing = [UInt8](repeating: 0, count: 8192)
        #expect(Self.code { try ManifestStore.read(nothing) } == .corruption)
        let headerOnly = ManifestStore.manifest(records: [])
        #expect(Self.code { try ManifestStore.read(headerOnly) } == .corruption)
    }

    @Test func anotherIdentityIsCorruption() throws {
        let bytes = ManifestStore.manifest(records: [[]])
        let directory = try StoreDirectory.make(path: "db", in: SimulatedFileSystem())
        try directory.durableCreate(.manifest(1), contents: bytes)
        try directory.durableCreate(.manifest(2), contents: bytes)

        func code(_ number: UInt64, _ historyID: UniqueID) -> EngineError.Code? {
            Self.code {
                try ManifestReader.read(directory: directory, number: number, historyID: historyID)
            }
        }

        #expect(code(1, ManifestStore.historyID) == nil)
        #expect(code(2, ManifestStore.historyID) == .corruption)
        #expect(code(1, UniqueID(high: 1, low: 3)) == .corruption)
    }

    @Test func wholeFramesWithWrongEditsAreRefused() {
        let good = [14, 1, 5] as [UInt8]
        func code(_ records: [[UInt8]], kind: RecordKind = .data) -> EngineError.Code? {
            Self.code {
                try ManifestStore.read(ManifestStore.manifest(records: records, kind: kind))
            }
        }

        #expect(code([good, good]) == nil)
        #expect(code([[12, 1]]) == .corruption)
        #expect(code([good, [14, 1, 4]]) == .corruption)
        #expect(code([good, [4, 2, 0, 1], good]) == .corruption)
        #expect(code([good, [16, 0]]) == .unsupportedFormat)
        #expect(code([good], kind: .noOp) == .corruption)
    }

    @Test(arguments: UInt64(0)..<1000)
    func garbageNeverTraps(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var maker = EditMaker(seed: seed)
        var records = [maker.next().bytes, maker.next().bytes, maker.next().bytes]
        if seed % 2 == 0 {
            // Right frames around wrong edits.
            let record = Int.random(in: 0..<3, using: &generator)
            for _ in 0..<4 where !records[record].isEmpty {
                let index = Int.random(in: 0..<records[record].count, using: &generator)
                records[record][index] = UInt8(truncatingIfNeeded: generator.next())
            }
        }
        var bytes = ManifestStore.manifest(records: records)
        if seed % 2 == 1 {
            // Wrong bytes anywhere behind the header.
            for _ in 0..<(1 + generator.next() % 40) where bytes.count > 4096 {
                let index = Int.random(in: 4096..<bytes.count, using: &generator)
                bytes[index] = UInt8(truncatingIfNeeded: generator.next())
            }
        }

        do throws(EngineError) {
            _ = try ManifestStore.read(bytes)
        } catch {
            #expect(error.code == .corruption || error.code == .unsupportedFormat)
        }
    }

    private static func header(_ file: StoreFile) throws -> ManifestHeader {
        let bytes = try file.read(count: 4096, at: 0)
        return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try ManifestHeader(decoding: bytes, file: file.name)
        }
    }

    private static func code<R>(_ body: () throws -> R) -> EngineError.Code? {
        do {
            _ = try body()
            return nil
        } catch {
            return (error as? EngineError)?.code
        }
    }
}
