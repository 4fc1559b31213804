import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct PosixFileSystemTests {
    let temporary = TemporaryDirectory()
    let fileSystem = PosixFileSystem()

    @Test func handlesAreNotInherited() throws {
        let directory = try fileSystem.openDirectory(path: temporary.path)
        try fileSystem.makeDirectory("d", in: directory)
        let handles = [
            directory,
            try fileSystem.open("a", in: directory, .create),
            try fileSystem.open("a", in: directory, .read),
            try fileSystem.open("a", in: directory, .readWrite),
            try fileSystem.open("d", in: directory, .directory),
        ]

        for handle in handles {
            #expect(fcntl(handle.number, F_GETFD) & FD_CLOEXEC == FD_CLOEXEC)
            try fileSystem.close(handle)
        }
    }

    @Test func aUmaskDoesNotLoosenModes() throws {
        let directory = try fileSystem.openDirectory(path: temporary.path)

        let file = try fileSystem.open("a", in: directory, .create)

        // Also where the umask is 0, as nothing but 0600 is asked for.
        #expect(try fileSystem.permissions(file) & 0o177 == 0)
    }

    @Test func linksAreNotFollowed() throws {
        let directory = try fileSystem.openDirectory(path: temporary.path)
        try fileSystem.close(try fileSystem.open("target", in: directory, .create))
        try fileSystem.makeDirectory("d", in: directory)
        #expect(symlink("target", "\(temporary.path)/link") == 0)
        #expect(symlink("nothing", "\(temporary.path)/dangling") == 0)
        #expect(symlink("d", "\(temporary.path)/dlink") == 0)

        for mode in [OpenMode.read, .readWrite] {
            #expect(throws: IOFailure("openat", ELOOP)) {
                try fileSystem.open("link", in: directory, mode)
            }
        }
        #expect(throws: IOFailure("openat", EEXIST)) {
            try fileSystem.open("dangling", in: directory, .create)
        }
        #expect(throws: IOFailure.self) { try fileSystem.open("dlink", in: directory, .directory) }
    }

    @Test func aPlantedPipeIsRefusedWithoutWaiting() throws {
        let directory = try fileSystem.openDirectory(path: temporary.path)
        #expect(mkfifo("\(temporary.path)/LOCK", 0o600) == 0)

        for mode in [OpenMode.read, .readWrite] {
            #expect(throws: IOFailure("openat", EINVAL)) {
                try fileSystem.open("LOCK", in: directory, mode)
            }
        }
    }

    @Test func aPathWithAZeroByteIsRefused() {
        #expect(throws: IOFailure("openat", EINVAL)) {
            try fileSystem.openDirectory(path: temporary.path + "\0/elsewhere")
        }
    }

    @Test func offsetsBeyondTheSystemsRangeAreErrors() throws {
        let directory = try fileSystem.openDirectory(path: temporary.path)
        let file = try fileSystem.open("a", in: directory, .create)

        #expect(throws: IOFailure("ftruncate", EFBIG)) {
            try fileSystem.truncate(file, to: .max)
        }
        #expect(throws: IOFailure("fallocate", EFBIG)) {
            try fileSystem.allocate(file, size: .max)
        }
    }
}
