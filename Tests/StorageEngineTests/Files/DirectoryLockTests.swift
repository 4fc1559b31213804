import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct DirectoryLockTests {
    let temporary = TemporaryDirectory()

    func directory(_ path: String? = nil) throws -> StoreDirectory {
        try StoreDirectory.open(path: path ?? temporary.path, in: PosixFileSystem())
    }

    @Test func aWriterExcludesEverybodyElse() throws {
        let writer = try DirectoryLock.acquire(in: directory(), exclusive: true)

        for exclusive in [true, false] {
            #expect {
                try DirectoryLock.acquire(in: directory(), exclusive: exclusive)
            } throws: {
                ($0 as? EngineError)?.code == .locked
            }
        }

        try writer.release()
        let next = try DirectoryLock.acquire(in: directory(), exclusive: true)
        #expect(next.isHeld)
    }

    @Test func readersShareAndExcludeWriters() throws {
        try DirectoryLock.acquire(in: directory(), exclusive: true).release()
        let readers = try (0..<2).map { _ in
            try DirectoryLock.acquire(in: directory(), exclusive: false)
        }

        #expect {
            try DirectoryLock.acquire(in: directory(), exclusive: true)
        } throws: {
            ($0 as? EngineError)?.code == .locked
        }
        #expect(readers.map(\.isHeld) == [true, true])
    }

    @Test func thePathDoesNotMatter() throws {
        let link = temporary.path + "-link"
        #expect(symlink(temporary.path, link) == 0)
        defer { unlink(link) }
        let writer = try DirectoryLock.acquire(in: directory(), exclusive: true)

        #expect {
            try DirectoryLock.acquire(in: directory(link), exclusive: true)
        } throws: {
            ($0 as? EngineError)?.code == .locked
        }
        #expect(writer.isHeld)
    }

    @Test func otherProcessesAreExcluded() throws {
        let writer = try DirectoryLock.acquire(in: directory(), exclusive: true)
        #expect(try lockInOtherProcess() != 0)

        try writer.release()

        #expect(try lockInOtherProcess() == 0)
    }

    @Test func droppingTheLockReleasesIt() throws {
        _ = try DirectoryLock.acquire(in: directory(), exclusive: true)

        #expect(try DirectoryLock.acquire(in: directory(), exclusive: true).isHeld)
    }

    @Test func readersMakeNothing() throws {
        let fileSystem = SimulatedFileSystem()
        fileSystem.isReadOnly = true
        let directory = try StoreDirectory.open(path: "/", in: fileSystem)

        let reader = try DirectoryLock.acquire(in: directory, exclusive: false)

        #expect(!reader.isHeld)
        #expect(try directory.list().known == [])
        #expect {
            try DirectoryLock.acquire(in: directory, exclusive: true)
        } throws: {
            ($0 as? EngineError)?.errno == EROFS
        }
    }

    @Test func aFileMadeInTheMeantimeIsUsed() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try StoreDirectory.open(path: "/", in: fileSystem)
        try DirectoryLock.acquire(in: directory, exclusive: true).release()
        // The first look finds nothing, as if another process made the file right after it.
        fileSystem.inject(SimulatedFault(.open, errno: ENOENT))

        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)

        #expect(lock.isHeld)
        #expect(try directory.list().known == [.lock])
    }

    @Test func aSimulatedCrashReleasesLocks() throws {
        let fileSystem = SimulatedFileSystem()
        let before = try StoreDirectory.open(path: "/", in: fileSystem)
        let lock = try DirectoryLock.acquire(in: before, exclusive: true)

        let after = try StoreDirectory.open(path: "/", in: fileSystem.crashed(.all))

        #expect(try DirectoryLock.acquire(in: after, exclusive: true).isHeld)
        #expect(lock.isHeld)
    }

    /// The exit code of flock(1) on the lock's file, which is 0 when it got the lock.
    private func lockInOtherProcess() throws -> Int32 {
        let words = ["flock", "--nonblock", temporary.path + "/LOCK", "true"]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let code = posix_spawnp(&process, "flock", nil, nil, &arguments, environ)
        try #require(code == 0, "cannot run flock(1)")
        var status: Int32 = 0
        waitpid(process, &status, 0)
        return status
    }
}
