import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What the engine relies on, in every file system.
@Suite struct FileSystemConformanceTests {
    enum Kind: CaseIterable {
        case posix, strict, ext4
    }

    /// A file system, and a fresh directory in it that is removed with this value.
    struct Place {
        let fileSystem: any FileSystem
        let path: String
        let directory: FileHandle
        private let temporary: TemporaryDirectory?

        init(_ kind: Kind) throws {
            switch kind {
            case .posix:
                let made = TemporaryDirectory()
                temporary = made
                fileSystem = PosixFileSystem()
                path = made.path
            case .strict, .ext4:
                temporary = nil
                fileSystem = SimulatedFileSystem(profile: kind == .ext4 ? .ext4 : .strict)
                path = "/tmp"
                try fileSystem.makeDirectory(path: path)
            }
            directory = try fileSystem.openDirectory(path: path)
        }

        func create(_ name: String, _ bytes: [UInt8] = []) throws -> FileHandle {
            let file = try fileSystem.open(name, in: directory, .create)
            _ = try write(bytes, to: file, at: 0)
            return file
        }

        func write(_ bytes: [UInt8], to file: FileHandle, at offset: UInt64) throws -> Int {
            try bytes.withUnsafeBytes { try fileSystem.pwrite(file, $0, at: offset) }
        }

        func read(_ file: FileHandle, count: Int, at offset: UInt64) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0xEE, count: count)
            let done = try bytes.withUnsafeMutableBytes {
                try fileSystem.pread(file, into: $0, at: offset)
            }
            return Array(bytes.prefix(done))
        }
    }

    @Test(arguments: Kind.allCases)
    func writtenBytesAreRead(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a", [1, 2, 3, 4])

        #expect(try place.write([9], to: file, at: 1) == 1)

        #expect(try place.read(file, count: 4, at: 0) == [1, 9, 3, 4])
        #expect(try place.read(file, count: 10, at: 2) == [3, 4])
        #expect(try place.read(file, count: 10, at: 4) == [])
        #expect(try place.read(file, count: 10, at: 100) == [])
    }

    @Test(arguments: Kind.allCases)
    func gapsAreZero(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a", [1])

        _ = try place.write([2], to: file, at: 10_000)

        let bytes = try place.read(file, count: 20_000, at: 0)
        #expect(bytes == [1] + [UInt8](repeating: 0, count: 9999) + [2])
        #expect(try place.fileSystem.size(file) == 10_001)
    }

    @Test(arguments: Kind.allCases)
    func cutBytesDoNotComeBack(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a", [UInt8](repeating: 7, count: 9000))

        try place.fileSystem.truncate(file, to: 4100)
        try place.fileSystem.truncate(file, to: 9000)

        let expected = [UInt8](repeating: 7, count: 4100) + [UInt8](repeating: 0, count: 4900)
        #expect(try place.read(file, count: 10_000, at: 0) == expected)
    }

    @Test(arguments: Kind.allCases)
    func allocationExtendsWithZerosAndKeepsBytes(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a", [1, 2])

        try place.fileSystem.allocate(file, size: 64 << 20)
        try place.fileSystem.allocate(file, size: 1)

        #expect(try place.fileSystem.size(file) == 64 << 20)
        #expect(try place.read(file, count: 4, at: 0) == [1, 2, 0, 0])
        #expect(try place.read(file, count: 100, at: (64 << 20) - 3) == [0, 0, 0])
    }

    @Test(arguments: Kind.allCases)
    func syncsSucceed(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a", [1])

        try place.fileSystem.dataSync(file)
        try place.fileSystem.syncDirectory(place.directory)
        try place.fileSystem.close(file)

        #expect(try place.fileSystem.freeSpace(place.directory) > 0)
    }

    @Test(arguments: Kind.allCases)
    func creationNeedsAFreeName(kind: Kind) throws {
        let place = try Place(kind)
        _ = try place.create("a")
        try place.fileSystem.makeDirectory("d", in: place.directory)

        #expect { try place.create("a") } throws: { isErrno($0, EEXIST) }
        #expect { try place.create("d") } throws: { isErrno($0, EEXIST) }
        #expect {
            try place.fileSystem.makeDirectory("a", in: place.directory)
        } throws: { isErrno($0, EEXIST) }
        #expect { try place.fileSystem.makeDirectory(path: place.path) } throws: {
            isErrno($0, EEXIST)
        }
    }

    @Test(arguments: Kind.allCases)
    func absentNamesAreReportedAsSuch(kind: Kind) throws {
        let place = try Place(kind)
        let fileSystem = place.fileSystem

        for mode in [OpenMode.read, .readWrite, .directory] {
            #expect {
                try fileSystem.open("a", in: place.directory, mode)
            } throws: { isErrno($0, ENOENT) }
        }
        #expect { try fileSystem.unlink("a", in: place.directory) } throws: { isErrno($0, ENOENT) }
        #expect {
            try fileSystem.rename("a", to: "b", in: place.directory)
        } throws: { isErrno($0, ENOENT) }
        #expect { try fileSystem.openDirectory(path: place.path + "/a") } throws: {
            isErrno($0, ENOENT)
        }
        #expect { try fileSystem.makeDirectory(path: place.path + "/a/b") } throws: {
            isErrno($0, ENOENT)
        }
    }

    @Test(arguments: Kind.allCases)
    func aDirectoryIsNotAFile(kind: Kind) throws {
        let place = try Place(kind)
        try place.fileSystem.makeDirectory("d", in: place.directory)
        _ = try place.create("f")

        #expect(throws: IOFailure.self) {
            try place.fileSystem.open("d", in: place.directory, .read)
        }
        #expect(throws: IOFailure.self) {
            try place.fileSystem.open("d", in: place.directory, .readWrite)
        }
        #expect {
            try place.fileSystem.open("f", in: place.directory, .directory)
        } throws: { isErrno($0, ENOTDIR) }
        #expect(throws: IOFailure.self) { try place.fileSystem.unlink("d", in: place.directory) }
    }

    @Test(arguments: Kind.allCases)
    func renameReplacesAndOpenFilesGoOn(kind: Kind) throws {
        let place = try Place(kind)
        let old = try place.create("a", [1])
        let new = try place.create("b", [2])

        try place.fileSystem.rename("b", to: "a", in: place.directory)

        #expect(try place.fileSystem.list(place.directory) == ["a"])
        let found = try place.fileSystem.open("a", in: place.directory, .read)
        #expect(try place.read(found, count: 1, at: 0) == [2])
        #expect(try place.read(old, count: 1, at: 0) == [1])
        _ = try place.write([3], to: new, at: 0)
        #expect(try place.read(found, count: 1, at: 0) == [3])
    }

    @Test(arguments: Kind.allCases)
    func aDirectoryReplacesOnlyAnEmptyOne(kind: Kind) throws {
        let place = try Place(kind)
        let fileSystem = place.fileSystem
        for name in ["a", "empty", "full"] {
            try fileSystem.makeDirectory(name, in: place.directory)
        }
        let full = try fileSystem.open("full", in: place.directory, .directory)
        try fileSystem.close(try fileSystem.open("f", in: full, .create))
        _ = try place.create("file")

        #expect {
            try fileSystem.rename("a", to: "full", in: place.directory)
        } throws: { isErrno($0, ENOTEMPTY) || isErrno($0, EEXIST) }
        #expect {
            try fileSystem.rename("a", to: "file", in: place.directory)
        } throws: { isErrno($0, ENOTDIR) }
        try fileSystem.rename("a", to: "empty", in: place.directory)
        try fileSystem.rename("full", to: "b", in: place.directory)

        #expect(try fileSystem.list(place.directory).sorted() == ["b", "empty", "file"])
        #expect(try fileSystem.list(full) == ["f"])
    }

    @Test(arguments: Kind.allCases)
    func onlyEmptyDirectoriesAreRemoved(kind: Kind) throws {
        let place = try Place(kind)
        let fileSystem = place.fileSystem
        try fileSystem.makeDirectory("d", in: place.directory)
        let directory = try fileSystem.open("d", in: place.directory, .directory)
        try fileSystem.close(try fileSystem.open("f", in: directory, .create))

        #expect {
            try fileSystem.removeDirectory("d", in: place.directory)
        } throws: { isErrno($0, ENOTEMPTY) || isErrno($0, EEXIST) }
        try fileSystem.unlink("f", in: directory)
        try fileSystem.removeDirectory("d", in: place.directory)

        #expect(try fileSystem.list(place.directory) == [])
        #expect {
            try fileSystem.removeDirectory("d", in: place.directory)
        } throws: { isErrno($0, ENOENT) }
    }

    @Test(arguments: Kind.allCases)
    func aFileHasAllItsNames(kind: Kind) throws {
        let place = try Place(kind)
        let fileSystem = place.fileSystem
        let file = try place.create("a", [1])
        _ = try place.create("b")
        try fileSystem.makeDirectory("d", in: place.directory)
        let other = try fileSystem.open("d", in: place.directory, .directory)

        try fileSystem.link("a", in: place.directory, to: "x", in: other)
        #expect {
            try fileSystem.link("a", in: place.directory, to: "b", in: place.directory)
        } throws: { isErrno($0, EEXIST) }
        #expect {
            try fileSystem.link("none", in: place.directory, to: "c", in: other)
        } throws: { isErrno($0, ENOENT) }
        try fileSystem.unlink("a", in: place.directory)
        try fileSystem.syncDirectory(place.directory)
        try fileSystem.close(file)

        let found = try fileSystem.open("x", in: other, .read)
        #expect(try place.read(found, count: 10, at: 0) == [1])
    }

    @Test(arguments: Kind.allCases)
    func listNamesFilesAndDirectories(kind: Kind) throws {
        let place = try Place(kind)
        #expect(try place.fileSystem.list(place.directory) == [])
        _ = try place.create("a")
        _ = try place.create("b")
        try place.fileSystem.makeDirectory("d", in: place.directory)
        try place.fileSystem.unlink("b", in: place.directory)

        // Twice: a listing must not leave the handle at its end.
        for _ in 0..<2 {
            #expect(try place.fileSystem.list(place.directory).sorted() == ["a", "d"])
        }
    }

    @Test(arguments: Kind.allCases)
    func readOnlyHandlesDoNotWrite(kind: Kind) throws {
        let place = try Place(kind)
        _ = try place.create("a", [1])
        let file = try place.fileSystem.open("a", in: place.directory, .read)

        #expect { try place.write([2], to: file, at: 0) } throws: { isErrno($0, EBADF) }
        #expect(throws: IOFailure.self) { try place.fileSystem.truncate(file, to: 0) }
    }

    @Test(arguments: Kind.allCases)
    func permissionsAreForTheOwnerOnly(kind: Kind) throws {
        let place = try Place(kind)
        let file = try place.create("a")
        try place.fileSystem.makeDirectory("d", in: place.directory)
        let directory = try place.fileSystem.open("d", in: place.directory, .directory)
        try place.fileSystem.makeDirectory(path: place.path + "/e")
        let other = try place.fileSystem.openDirectory(path: place.path + "/e")

        #expect(try place.fileSystem.permissions(file) == 0o600)
        #expect(try place.fileSystem.permissions(directory) == 0o700)
        #expect(try place.fileSystem.permissions(other) == 0o700)
    }

    @Test(arguments: Kind.allCases)
    func locksExcludeOtherOpensUntilClosed(kind: Kind) throws {
        let place = try Place(kind)
        let fileSystem = place.fileSystem
        let first = try place.create("LOCK")
        let second = try fileSystem.open("LOCK", in: place.directory, .read)
        let third = try fileSystem.open("LOCK", in: place.directory, .readWrite)

        try fileSystem.lock(first, exclusive: true)
        #expect { try fileSystem.lock(second, exclusive: false) } throws: {
            isErrno($0, EWOULDBLOCK)
        }
        try fileSystem.close(first)
        try fileSystem.lock(second, exclusive: false)
        try fileSystem.lock(third, exclusive: false)
        #expect { try fileSystem.lock(third, exclusive: true) } throws: { isErrno($0, EWOULDBLOCK) }
    }
}

/// Compares only the error number: the names of the calls differ between file systems.
private func isErrno(_ error: any Error, _ number: Int32) -> Bool {
    (error as? IOFailure)?.errno == number
}
