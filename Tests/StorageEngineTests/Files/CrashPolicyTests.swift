import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Each crash policy, fault and kind of full disk of the simulation does what it says.
@Suite struct CrashPolicyTests {
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

    // MARK: - Bytes

    @Test func aTornWriteLeavesWhatWasThereZerosOrStaleBytes() throws {
        let other = try durableFile("old", [7, 7, 7, 7, 7, 7])
        let file = try durableFile("a", [1, 1, 1, 1])
        try write([2, 2, 2, 2], to: file, at: 1)
        var generator = SeededGenerator(seed: 1)
        func torn(_ rest: CrashPolicy.Rest) -> [UInt8]? {
            fileSystem.crashed(.torn(back: 0, bytes: 2, rest: rest), using: &generator)
                .bytes(ofFile: "a", .cached)
        }

        #expect(torn(.old) == [1, 2, 2, 1, 0])
        #expect(torn(.zeros) == [1, 2, 2, 0, 0])
        #expect(torn(.stale) == [1, 2, 2, 7, 7])
        try fileSystem.close(other)
    }

    @Test func whatFollowsATornWriteIsLost() throws {
        let file = try durableFile("a", [])
        try write([1, 1], to: file, at: 0)
        try write([2, 2], to: file, at: 2)
        try write([3, 3], to: file, at: 4)
        try fileSystem.rename("a", to: "b", in: root)

        let after = fileSystem.crashed(.torn(back: 1, bytes: 1, rest: .old))

        #expect(after.bytes(ofFile: "a", .cached) == [1, 1, 2, 0])
    }

    @Test(arguments: CrashPolicy.SectorSize.allCases)
    func sectorsHaveTheirSize(size: CrashPolicy.SectorSize) throws {
        let file = try durableFile("a", [UInt8](repeating: 1, count: 16_384))
        try write([UInt8](repeating: 2, count: 16_384), to: file, at: 0)

        var generator = SeededGenerator(seed: 3)
        var seen: Set<[UInt8]> = []
        for _ in 0..<100 {
            let policy = CrashPolicy.sectors(keep: 0.5, size: size)
            let after = fileSystem.crashed(policy, using: &generator)
            let bytes = try #require(after.bytes(ofFile: "a", .cached))
            let step = Int(size.rawValue)
            for start in stride(from: 0, to: 16_384, by: step) {
                #expect(Set(bytes[start..<start + step]).count == 1)
            }
            seen.insert(stride(from: 0, to: 16_384, by: 4096).map { bytes[$0] })
        }
        #expect(seen.count == 16)
    }

    // MARK: - Names

    @Test func namesSurviveInOrderWithOrWithoutBytes() throws {
        try create("a", [1])
        try create("b", [2])
        try fileSystem.rename("b", to: "c", in: root)

        let counts = 0...3
        let kept = counts.map { fileSystem.crashed(.entriesPrefix($0, .kept)) }
        let lost = counts.map { fileSystem.crashed(.entriesPrefix($0, .lost)) }

        let names = [[], ["a"], ["a", "b"], ["a", "c"]]
        #expect(kept.map { $0.names(inDirectory: "/", .cached) } == names)
        #expect(lost.map { $0.names(inDirectory: "/", .cached) } == names)
        #expect(kept[3].bytes(ofFile: "c", .cached) == [2])
        #expect(lost[3].bytes(ofFile: "c", .cached) == [])
    }

    @Test func aNameMayGoBeforeTheOneThatReplacesItIsThere() throws {
        _ = try durableFile("old", [1])
        try create("new", [2])
        try fileSystem.unlink("old", in: root)

        #expect(try namesFound(fileSystem) == [[], ["new"], ["new", "old"], ["old"]])
    }

    @Test func aRenameMayComeWithoutTheCreationBeforeIt() throws {
        _ = try durableFile("b", [1])
        try create("a", [2])
        try fileSystem.rename("a", to: "b", in: root)

        var generator = SeededGenerator(seed: 2)
        let found = Set(
            (0..<64).map { _ -> [UInt8]? in
                let after = fileSystem.crashed(.entries(keep: 0.5, .kept), using: &generator)
                return after.bytes(ofFile: "b", .cached)
            }
        )
        #expect(found == [[1], [2]])
    }

    @Test func ext4KeepsTheOrderOfNames() throws {
        let fileSystem = SimulatedFileSystem(profile: .ext4)
        let root = try fileSystem.openDirectory(path: "/")
        for name in ["a", "b", "c"] {
            try fileSystem.close(fileSystem.open(name, in: root, .create))
        }

        #expect(try namesFound(fileSystem) == [[], ["a"], ["a", "b"], ["a", "b", "c"]])
    }

    /// The sets of names that random subsets leave, sorted.
    private func namesFound(_ fileSystem: SimulatedFileSystem) throws -> [[String]] {
        var generator = SeededGenerator(seed: 1)
        var found: Set<[String]> = []
        for _ in 0..<200 {
            let after = fileSystem.crashed(.entries(keep: 0.5, .lost), using: &generator)
            found.insert(try #require(after.names(inDirectory: "/", .cached)))
        }
        return found.sorted { $0.lexicographicallyPrecedes($1) }
    }

    @Test func everyPolicyHasANameOfItsOwn() {
        var generator = SeededGenerator(seed: 1)
        let names = CrashPolicy.each(using: &generator).map(\.name)

        #expect(names.count == 13 && Set(names).count == names.count)
        #expect(Set((0..<500).map { _ in CrashPolicy.random(using: &generator).name }).count == 13)
    }

    // MARK: - Faults

    @Test(arguments: [false, true])
    func aFailedSyncLosesWhatWasWritten(reverts: Bool) throws {
        fileSystem.failedSyncReverts = reverts
        let file = try durableFile("a", [1, 1])
        try write([2], to: file, at: 1)
        fileSystem.inject(SimulatedFault(.dataSync, errno: EIO))

        #expect(throws: IOFailure("dataSync", EIO)) { try fileSystem.dataSync(file) }
        try fileSystem.dataSync(file)

        #expect(fileSystem.bytes(ofFile: "a", .cached) == (reverts ? [1, 1] : [1, 2]))
        #expect(fileSystem.bytes(ofFile: "a", .durable) == [1, 1])
        var history = fileSystem.history()
        history.advance(to: history.end)
        #expect(history.bytes(ofFile: "a", .cached) == (reverts ? [1, 1] : [1, 2]))
    }

    @Test(arguments: [ENOSPC, EDQUOT])
    func aFullDiskCutsAWriteShortAndThenFails(errno: Int32) throws {
        fileSystem.space.capacity = 3
        fileSystem.space.errno = errno
        let file = try create("a")

        let count = try [1, 2, 3, 4, 5].withUnsafeBufferPointer {
            (bytes: UnsafeBufferPointer<UInt8>) in
            try fileSystem.pwrite(file, UnsafeRawBufferPointer(bytes), at: 0)
        }
        #expect(count == 3)
        #expect(throws: IOFailure("write", errno)) { try write([4], to: file, at: 3) }
        #expect(throws: IOFailure("truncate", errno)) { try fileSystem.truncate(file, to: 9) }
    }

    @Test func aFullDiskMayShowOnlyInTheSync() throws {
        fileSystem.space.allocatesLate = true
        fileSystem.space.capacity = 3
        let file = try create("a", [1, 2, 3, 4, 5])

        #expect(throws: IOFailure("dataSync", ENOSPC)) { try fileSystem.dataSync(file) }

        #expect(fileSystem.bytes(ofFile: "a", .durable) == nil)
        #expect(fileSystem.crashed(.all).bytes(ofFile: "a", .cached) == [1, 2, 3, 4, 5])
    }

    @Test func aFaultMayPass() throws {
        let clock = SimulatedClock(monotonic: 0)
        fileSystem.clock = clock
        fileSystem.inject(SimulatedFault(.list, errno: EIO, duration: .until(10)))

        #expect(throws: IOFailure("list", EIO)) { try fileSystem.list(root) }
        clock.advance(by: 9)
        #expect(throws: IOFailure("list", EIO)) { try fileSystem.list(root) }
        clock.advance(by: 1)
        #expect(try fileSystem.list(root) == [])
        #expect(fileSystem.takeInjectedFaults().map(\.call) == [.list, .list])
        #expect(fileSystem.injectedFaultCount == 2)
    }

    // MARK: - Trace

    @Test func theTraceHashTellsRunsApart() throws {
        func hash(_ bytes: [UInt8], _ name: String = "a", fails: Bool = false) throws -> UInt64 {
            let fileSystem = SimulatedFileSystem()
            let root = try fileSystem.openDirectory(path: "/")
            if fails { fileSystem.inject(SimulatedFault(.dataSync, errno: EINTR)) }
            let file = try fileSystem.open(name, in: root, .create)
            _ = try bytes.withUnsafeBytes { try fileSystem.pwrite(file, $0, at: 0) }
            do { try fileSystem.dataSync(file) } catch { #expect(fails) }
            return fileSystem.traceHash
        }

        let plain = try hash([1, 2])
        #expect(try plain == hash([1, 2]))
        let others = try [hash([1, 3]), hash([1]), hash([1, 2], "b"), hash([1, 2], fails: true)]
        #expect(!others.contains(plain) && Set(others).count == others.count)
    }
}
