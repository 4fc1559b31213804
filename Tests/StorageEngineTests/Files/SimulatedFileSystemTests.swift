import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The simulation is as harsh as it claims to be.
@Suite struct SimulatedFileSystemTests {
    let fileSystem = SimulatedFileSystem()
    let root: FileHandle

    init() throws { root = try fileSystem.openDirectory(path: "/") }

    @discardableResult
    func create(_ name: String, _ bytes: [UInt8] = []) throws -> FileHandle {
        let file = try fileSystem.open(name, in: root, .create)
        try write(bytes, to: file, at: 0)
        return file
    }

    func write(_ bytes: [UInt8], to file: FileHandle, at offset: UInt64) throws {
        let count = try bytes.withUnsafeBytes { try fileSystem.pwrite(file, $0, at: offset) }
        #expect(count == bytes.count)
    }

    func durableFile(_ name: String, _ bytes: [UInt8]) throws -> FileHandle {
        let file = try create(name, bytes)
        try fileSystem.dataSync(file)
        try fileSystem.syncDirectory(root)
        return file
    }

    // MARK: - Names

    @Test(arguments: SimulatedProfile.allCases)
    func syncingAFileKeepsItsNewNameOnlyOnExt4(profile: SimulatedProfile) throws {
        let fileSystem = SimulatedFileSystem(profile: profile)
        let root = try fileSystem.openDirectory(path: "/")
        let file = try fileSystem.open("a", in: root, .create)
        try fileSystem.dataSync(file)

        let expected = profile == .ext4 ? ["a"] : []
        #expect(fileSystem.crashed(.none).names(inDirectory: "/", .cached) == expected)
    }

    @Test(arguments: SimulatedProfile.allCases)
    func aRenameNeedsASyncOfTheDirectory(profile: SimulatedProfile) throws {
        let fileSystem = SimulatedFileSystem(profile: profile)
        let root = try fileSystem.openDirectory(path: "/")
        let file = try fileSystem.open("a", in: root, .create)
        try fileSystem.syncDirectory(root)
        try fileSystem.rename("a", to: "b", in: root)
        try fileSystem.dataSync(file)

        #expect(fileSystem.names(inDirectory: "/", .durable) == ["a"])
        try fileSystem.syncDirectory(root)
        #expect(fileSystem.names(inDirectory: "/", .durable) == ["b"])
    }

    @Test func aNameCanSurviveWithoutItsBytes() throws {
        try create("a", [1, 2, 3])
        try fileSystem.syncDirectory(root)

        #expect(fileSystem.crashed(.none).bytes(ofFile: "a", .cached) == [])
        #expect(fileSystem.crashed(.sizesOnly).bytes(ofFile: "a", .cached) == [0, 0, 0])
    }

    @Test func aDirectoryIsLostWithAllThatIsInIt() throws {
        try fileSystem.makeDirectory(path: "/d")
        let directory = try fileSystem.openDirectory(path: "/d/../d")
        try fileSystem.dataSync(try fileSystem.open("a", in: directory, .create))
        try fileSystem.syncDirectory(directory)

        #expect(fileSystem.crashed(.none).names(inDirectory: "/", .cached) == [])
        try fileSystem.syncDirectory(root)
        #expect(fileSystem.crashed(.none).names(inDirectory: "/d", .cached) == ["a"])
    }

    // MARK: - Bytes

    @Test func prefixesAreInTheOrderOfTheCalls() throws {
        let first = try durableFile("a", [])
        let second = try durableFile("b", [])
        try write([1], to: first, at: 0)
        try write([2], to: second, at: 0)
        try fileSystem.rename("b", to: "c", in: root)
        try write([3], to: first, at: 1)

        let states = (0...4).map { count in
            let after = fileSystem.crashed(.prefix(count))
            return ["a", "b", "c"].map { after.bytes(ofFile: $0, .cached) }
        }

        #expect(fileSystem.pendingCount == 4)
        #expect(
            states == [
                [[], [], nil], [[1], [], nil], [[1], [2], nil], [[1], nil, [2]],
                [[1, 3], nil, [2]],
            ]
        )
    }

    @Test func theLastWriteCanBeTorn() throws {
        let file = try durableFile("a", [9, 9, 9, 9])
        try write([1], to: file, at: 0)
        try write([2, 3, 4, 5], to: file, at: 2)

        let after = fileSystem.crashed(.tornLast(bytes: 1))

        #expect(after.bytes(ofFile: "a", .cached) == [1, 9, 2, 9, 0, 0])
    }

    @Test func sectorsSurviveOneByOne() throws {
        let file = try durableFile("a", [UInt8](repeating: 1, count: 4096))
        try write([UInt8](repeating: 2, count: 3000), to: file, at: 100)

        var generator = SplitMix(state: 1)
        var seen: Set<[UInt8]> = []
        for _ in 0..<200 {
            let after = fileSystem.crashed(.sectors(keep: 0.5), using: &generator)
            let bytes = try #require(after.bytes(ofFile: "a", .cached))
            #expect(bytes.count == 4096)
            seen.insert(stride(from: 0, to: 4096, by: 512).map { bytes[$0 + 110] })
            for sector in stride(from: 512, to: 3072, by: 512) {
                #expect(Set(bytes[sector..<sector + 512]).count == 1)
            }
        }

        // Six sectors have the place that is looked at, hence 64 patterns.
        #expect(seen.count > 48)
    }

    @Test func aSizeCanBeLostWhileItsBytesAreNot() throws {
        let file = try durableFile("a", [])
        try write([1, 2, 3], to: file, at: 0)

        var generator = SplitMix(state: 1)
        let found = (0..<64).map { _ in
            fileSystem.crashed(.sectors(keep: 0.5), using: &generator).bytes(ofFile: "a", .cached)
        }

        #expect(Set(found) == [[], [0, 0, 0], [1, 2, 3]])
    }

    @Test func aFailedSyncMarksPagesClean() throws {
        let file = try durableFile("a", [1, 1, 1])
        try write([2], to: file, at: 1)
        fileSystem.inject(SimulatedFault(.dataSync, errno: EIO))
        #expect(throws: IOFailure("dataSync", EIO)) { try fileSystem.dataSync(file) }

        // Programs see the new byte, a later sync succeeds, and the byte is not on the medium.
        try fileSystem.dataSync(file)
        #expect(fileSystem.bytes(ofFile: "a", .cached) == [1, 2, 1])
        #expect(fileSystem.bytes(ofFile: "a", .durable) == [1, 1, 1])

        // What is written afterwards is, and only that.
        try write([3], to: file, at: 2)
        try fileSystem.dataSync(file)
        #expect(fileSystem.bytes(ofFile: "a", .durable) == [1, 1, 3])
        #expect(fileSystem.crashed(.all).bytes(ofFile: "a", .cached) == [1, 2, 3])
    }

    @Test func aPreallocatedFileTakesNoMemory() throws {
        let file = try create("a")
        for index in 0..<8 as Range<UInt64> {
            try fileSystem.allocate(file, size: (1 << 40) << index)
            try write([0, 0, 0], to: file, at: 1 << 39)
        }
        try fileSystem.dataSync(file)

        #expect(fileSystem.size(ofFile: "a", .cached) == 1 << 47)
    }

    @Test func cutAndRewrittenBytesAreSyncedAsTheyAre() throws {
        let file = try durableFile("a", [UInt8](repeating: 1, count: 10_000))
        var generator = SplitMix(state: 5)
        for _ in 0..<300 {
            let offset = UInt64.random(in: 0..<12_000, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: try fileSystem.truncate(file, to: offset)
            case 1: try fileSystem.allocate(file, size: offset + 1)
            default:
                let count = Int.random(in: 0..<9000, using: &generator)
                let byte = UInt8.random(in: 0...3, using: &generator)
                try write([UInt8](repeating: byte, count: count), to: file, at: offset)
            }

            let cached = fileSystem.bytes(ofFile: "a", .cached)
            let pending = fileSystem.crashed(.prefix(fileSystem.pendingCount))
            #expect(pending.bytes(ofFile: "a", .cached) == cached)
            if Int.random(in: 0..<3, using: &generator) == 0 {
                try fileSystem.dataSync(file)
                #expect(fileSystem.bytes(ofFile: "a", .durable) == cached)
            }
        }
    }

    // MARK: - Trace

    @Test func aHistoryRepeatsTheTrace() throws {
        var expected: [Int: [UInt8]?] = [:]
        var generator = SplitMix(state: 3)
        let file = try durableFile("a", [])
        fileSystem.forgetTrace()
        let start = fileSystem.traceEnd
        for step in 0..<60 {
            try write([UInt8(step)], to: file, at: .random(in: 0..<9, using: &generator))
            if step % 7 == 0 { try fileSystem.dataSync(file) }
            expected[fileSystem.traceEnd] = fileSystem.bytes(ofFile: "a", .durable)
        }
        try fileSystem.unlink("a", in: root)
        try fileSystem.syncDirectory(root)

        var history = fileSystem.history()
        #expect(history.position == start)
        for (position, bytes) in expected.sorted(by: { $0.key < $1.key }) {
            history.advance(to: position)
            #expect(history.bytes(ofFile: "a", .durable) == bytes)
            #expect(history.crashed(.none).bytes(ofFile: "a", .cached) == bytes)
        }
        history.advance(to: history.end)
        #expect(history.names(inDirectory: "/", .durable) == [])
        #expect(history.position == fileSystem.traceEnd)
        #expect(fileSystem.trace.count == history.end - start)
    }

    @Test(arguments: SimulatedProfile.allCases)
    func aFurtherNameNeedsASyncOfItsDirectory(profile: SimulatedProfile) throws {
        let fileSystem = SimulatedFileSystem(profile: profile)
        let root = try fileSystem.openDirectory(path: "/")
        try fileSystem.makeDirectory(path: "d")
        let other = try fileSystem.openDirectory(path: "d")
        let file = try fileSystem.open("a", in: root, .create)
        _ = try [1].withUnsafeBytes { try fileSystem.pwrite(file, $0, at: 0) }
        try fileSystem.dataSync(file)
        try fileSystem.syncDirectory(root)

        try fileSystem.link("a", in: root, to: "b", in: other)
        try fileSystem.dataSync(file)
        #expect(fileSystem.crashed(.none).names(inDirectory: "d", .cached) == [])
        try fileSystem.syncDirectory(other)
        try fileSystem.unlink("a", in: root)
        try fileSystem.syncDirectory(root)
        try fileSystem.close(file)

        let after = fileSystem.crashed(.none)
        #expect(after.names(inDirectory: "/", .cached) == ["d"])
        let size = MemoryLayout<Int>.size
        #expect(after.bytes(ofFile: "d/b", .cached)?.count == size)
        #expect(fileSystem.bytes(ofFile: "d/b", .cached)?.count == size)
    }

    @Test func unlinkedFilesGiveTheirSpaceBackWhenClosed() throws {
        fileSystem.capacity = 100
        let file = try durableFile("a", [UInt8](repeating: 1, count: 100))
        try fileSystem.unlink("a", in: root)
        try fileSystem.syncDirectory(root)
        #expect(try fileSystem.freeSpace(root) == 0)

        try fileSystem.close(file)

        #expect(try fileSystem.freeSpace(root) == 100)
    }

    @Test func threadsMayShareAFileSystem() async throws {
        let file = try durableFile("a", [])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 as Range<UInt64> {
                group.addTask { try writeEveryFourthByte(of: file, writer) }
            }
            try await group.waitForAll()
        }

        let expected = (0..<400).map { UInt8($0 % 4 + 1) }
        #expect(fileSystem.bytes(ofFile: "a", .cached) == expected)
        var history = fileSystem.history()
        history.advance(to: history.end)
        #expect(history.bytes(ofFile: "a", .cached) == expected)
    }

    private func writeEveryFourthByte(of file: FileHandle, _ writer: UInt64) throws {
        for index in 0..<100 as Range<UInt64> {
            try write([UInt8(writer + 1)], to: file, at: index * 4 + writer)
            if index % 10 == 0 { try fileSystem.dataSync(file) }
        }
    }

    // MARK: - Faults

    @Test func faultsHitTheCallsTheyName() throws {
        fileSystem.inject(
            SimulatedFault(.create, errno: EMFILE, occurrence: 2, name: { $0.hasSuffix(".log") })
        )

        try create("1.log")
        try create("a")
        #expect(throws: IOFailure("create", EMFILE)) { try create("2.log") }
        try create("2.log")
        #expect(fileSystem.injectedFaultCount == 1)
    }

    @Test func aCallCanDoItsWorkAndFail() throws {
        try create("a")
        var fault = SimulatedFault(.rename, errno: EIO)
        fault.takesEffect = true
        fileSystem.inject(fault)

        #expect(throws: IOFailure("rename", EIO)) {
            try fileSystem.rename("a", to: "b", in: root)
        }

        #expect(fileSystem.names(inDirectory: "/", .cached) == ["b"])
    }

    @Test func aFailedWriteCanHaveWrittenSome() throws {
        let file = try create("a")
        fileSystem.inject(SimulatedFault(.write, errno: EIO, bytesDone: 2))

        #expect(throws: IOFailure("write", EIO)) { try write([1, 2, 3], to: file, at: 0) }

        #expect(fileSystem.bytes(ofFile: "a", .cached) == [1, 2])
    }

    @Test func handlesAreDeadOnceClosed() throws {
        let file = try create("a")
        try fileSystem.close(file)

        #expect(throws: IOFailure("close", EBADF)) { try fileSystem.close(file) }
        #expect(throws: IOFailure("dataSync", EBADF)) { try fileSystem.dataSync(file) }
    }

    // MARK: - Clock

    @Test func theClockMovesOnlyWhenTold() {
        let clock = SimulatedClock(monotonic: 5, wall: 1000)

        clock.advance(by: 3_000_000)
        clock.jumpWall(by: -500)

        #expect(clock.monotonicNanoseconds == 3_000_005)
        #expect(clock.wallMilliseconds == 503)
    }
}
