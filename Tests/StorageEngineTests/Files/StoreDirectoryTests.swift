import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct StoreDirectoryTests {
    let fileSystem = SimulatedFileSystem()

    func directory() throws -> StoreDirectory {
        try StoreDirectory.make(path: "/store", in: fileSystem)
    }

    @Test func makingADirectoryIsDurable() throws {
        _ = try directory()

        let after = fileSystem.crashed(.none)
        #expect(try StoreDirectory.open(path: "store/", in: after).list().known == [])
    }

    @Test func makingADirectoryThatWasNotSyncedSyncsIt() throws {
        try fileSystem.makeDirectory(path: "/store")
        #expect(fileSystem.names(inDirectory: "/", .durable) == [])

        _ = try directory()

        #expect(fileSystem.names(inDirectory: "/", .durable) == ["store"])
    }

    @Test func parentsAreNotMade() {
        #expect {
            try StoreDirectory.make(path: "/a/b", in: fileSystem)
        } throws: {
            ($0 as? EngineError)?.errno == ENOENT
        }
    }

    @Test func aMissingDirectoryIsReportedAsSuch() {
        #expect {
            try StoreDirectory.open(path: "/store", in: fileSystem)
        } throws: {
            ($0 as? EngineError)?.errno == ENOENT
        }
    }

    @Test(arguments: [0o777, 0o770, 0o720, 0o702] as [UInt32])
    func aDirectoryThatOthersMayWriteToIsRefused(mode: UInt32) throws {
        try fileSystem.makeDirectory(path: "/store")
        fileSystem.setPermissions(mode, ofPath: "/store")

        #expect { try directory() } throws: { ($0 as? EngineError)?.code == .invalidArgument }
        #expect(fileSystem.openHandleCount == 0)

        let allowed = try StoreDirectory.open(
            path: "/store",
            in: fileSystem,
            allowsSharedWriting: true
        )
        #expect(try allowed.list().known == [])
    }

    @Test(arguments: [0o700, 0o755, 0o500] as [UInt32])
    func aDirectoryThatOthersMayReadIsNotRefused(mode: UInt32) throws {
        try fileSystem.makeDirectory(path: "/store")
        fileSystem.setPermissions(mode, ofPath: "/store")

        #expect(try directory().list().known == [])
    }

    @Test func aRealDirectoryIsMadeForTheOwnerOnly() throws {
        let temporary = TemporaryDirectory()
        let path = temporary.path + "/store/"
        let directory = try StoreDirectory.make(path: path, in: PosixFileSystem())
        try directory.durableReplace(.store, contents: [1])
        let file = try directory.durableCreate(.log(1), contents: [2])
        _ = try directory.saveToQuarantine(0..<1, of: file)

        for (name, mode) in [
            ("", 0o700), ("STORE", 0o600), ("0000000001.log", 0o600), ("quarantine", 0o700),
            ("quarantine/0000000001.log-0-1", 0o600),
        ] as [(String, mode_t)] {
            var status = stat()
            #expect(lstat(path + name, &status) == 0)
            #expect(status.st_mode & 0o777 == mode, "\(name)")
        }
        chmod(path, 0o770)
        #expect(throws: EngineError.self) {
            try StoreDirectory.open(path: path, in: PosixFileSystem())
        }
    }

    @Test func aListIsSortedAndTellsUnknownNamesApart() throws {
        let directory = try directory()
        let handle = try fileSystem.openDirectory(path: "/store")
        for name in ["0000000010.log", "0000000002.log", "1.log", "LOCK", "STORE", "a"] {
            try fileSystem.close(try fileSystem.open(name, in: handle, .create))
        }

        let listing = try directory.list()

        #expect(listing.known == [.store, .lock, .log(2), .log(10)])
        #expect(listing.unknown == ["1.log", "a"])
    }

    @Test func anAbsentFileIsNil() throws {
        let directory = try directory()

        let file = try directory.openIfPresent(.store, for: .read)
        #expect(file == nil)
        #expect {
            try directory.open(.store, for: .read)
        } throws: {
            ($0 as? EngineError)
                == EngineError(.io, "open failed", file: "STORE", errno: ENOENT)
        }
    }

    @Test func anotherErrorIsNotAbsence() throws {
        let directory = try directory()
        try directory.durableReplace(.store, contents: [1])
        fileSystem.inject(SimulatedFault(.open, errno: EMFILE))

        #expect {
            try directory.openIfPresent(.store, for: .read)
        } throws: {
            ($0 as? EngineError)?.errno == EMFILE
        }
    }

    @Test func freeSpaceIsThatOfTheFileSystem() throws {
        fileSystem.capacity = 1000
        let directory = try directory()
        try directory.durableReplace(.store, contents: [1, 2, 3])

        #expect(try directory.freeSpace() == 997)
    }

    @Test func nothingStaysOpen() throws {
        do {
            let directory = try directory()
            try directory.durableReplace(.store, contents: [1])
            let file = try directory.durableCreate(.log(1), contents: [1])
            _ = try directory.saveToQuarantine(0..<1, of: file)
        }

        #expect(fileSystem.openHandleCount == 0)
    }

    // MARK: - Quarantine

    @Test func quarantineKeepsWhatItHas() throws {
        let directory = try directory()
        let bytes = (0..<600_000).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let file = try directory.durableCreate(.log(3), contents: bytes)

        let first = try directory.saveToQuarantine(1000..<500_000, of: file)
        try file.truncate(to: 2000)
        let second = try directory.saveToQuarantine(1000..<500_000, of: file)

        #expect(first == "quarantine/0000000003.log-1000-1")
        #expect(second == "quarantine/0000000003.log-1000-2")
        let after = fileSystem.crashed(.none)
        #expect(after.bytes(ofFile: "/store/\(first)", .cached) == Array(bytes[1000..<500_000]))
        #expect(after.bytes(ofFile: "/store/\(second)", .cached) == Array(bytes[1000..<2000]))
    }

    @Test func aFailedCopyLeavesNothingInQuarantine() throws {
        let directory = try directory()
        let file = try directory.durableCreate(
            .log(3),
            contents: [UInt8](repeating: 1, count: 5000)
        )
        fileSystem.capacity = 9000

        #expect {
            try directory.saveToQuarantine(0..<5000, of: file)
        } throws: {
            ($0 as? EngineError)?.code == .noSpace
        }

        #expect(fileSystem.names(inDirectory: "/store/quarantine", .cached) == [])
        #expect(try file.size() == 5000)
    }
}
