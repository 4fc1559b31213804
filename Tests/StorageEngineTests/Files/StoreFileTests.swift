import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct StoreFileTests {
    let fileSystem = SimulatedFileSystem()
    let directory: StoreDirectory
    let file: StoreFile
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }

    init() throws {
        directory = try StoreDirectory.open(path: "/", in: fileSystem)
        file = try directory.durableCreate(.log(1), contents: [])
    }

    @Test func shortWritesAreContinued() throws {
        fileSystem.inject(
            SimulatedFault(.write, errno: nil, bytesDone: 13, duration: .forever)
        )

        try file.writeFully(bytes, at: 100)

        #expect(fileSystem.bytes(ofFile: "0000000001.log", .cached, in: 100..<5100) == bytes)
    }

    @Test func shortReadsAreContinued() throws {
        try file.writeFully(bytes, at: 0)
        fileSystem.inject(SimulatedFault(.read, errno: nil, bytesDone: 9, duration: .forever))

        #expect(try file.read(count: 5000, at: 0) == bytes)
        #expect(try file.read(count: 9000, at: 4000) == Array(bytes[4000...]))
    }

    @Test(arguments: SimulatedCall.allCases)
    func interruptedCallsAreRepeated(call: SimulatedCall) throws {
        fileSystem.inject(SimulatedFault(call, errno: EINTR))

        let directory = try StoreDirectory.make(path: "/store", in: fileSystem)
        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        try directory.durableReplace(.store, contents: bytes)
        let file = try directory.durableCreate(.log(1)) { file throws(EngineError) in
            try file.allocate(size: 100)
            try file.truncate(to: 50)
        }
        try directory.durableRemove([.log(1)])
        _ = try directory.freeSpace()
        let staged = try StagedDirectory(path: "/copy", in: fileSystem)
        #expect(try staged.directory.link(.store, of: directory))
        staged.discard()

        #expect(fileSystem.names(inDirectory: "/", .cached) == ["0000000001.log", "store"])
        #expect(try file.size() == 50)
        let store = try directory.open(.store, for: .read)
        #expect(try store.read(count: 6000, at: 0) == bytes)
        try store.close()
        #expect(try directory.list().known == [.store, .lock])
        #expect(lock.isHeld)
        #expect(fileSystem.injectedFaultCount == 1)
    }

    @Test func endlessInterruptionEnds() throws {
        fileSystem.inject(SimulatedFault(.dataSync, errno: EINTR, duration: .forever))

        #expect { try file.dataSync() } throws: { ($0 as? EngineError)?.errno == EINTR }
    }

    @Test func aWriteOfNothingIsNotRepeatedForever() throws {
        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 0, duration: .forever))

        let failure = #expect(throws: WriteFailure.self) { try file.writeFully(bytes, at: 0) }

        #expect(failure?.bytesWritten == 0)
        #expect(failure?.error.code == .io)
    }

    @Test func aFullDiskTakesAShortWriteFirst() throws {
        fileSystem.capacity = 3000

        let failure = #expect(throws: WriteFailure.self) { try file.writeFully(bytes, at: 0) }

        #expect(failure?.bytesWritten == 3000)
        #expect(failure?.error.code == .noSpace)
        #expect(failure?.error.offset == 3000)
        #expect(failure?.error.file == "0000000001.log")
        let next = #expect(throws: WriteFailure.self) { try file.writeFully(bytes, at: 3000) }
        #expect(next?.bytesWritten == 0)
        fileSystem.capacity = 8000
        try file.writeFully(bytes, at: 3000)
    }

    @Test func aQuotaIsAFullDisk() throws {
        fileSystem.inject(SimulatedFault(.allocate, errno: EDQUOT))

        #expect { try file.allocate(size: 10) } throws: {
            ($0 as? EngineError)?.code == .noSpace
        }
    }

    @Test func aFailedWriteTellsWhatWasWritten() throws {
        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 700))
        fileSystem.inject(SimulatedFault(.write, errno: EIO, occurrence: 2))

        let failure = #expect(throws: WriteFailure.self) { try file.writeFully(bytes, at: 40) }

        #expect(failure?.bytesWritten == 700)
        #expect(
            failure?.error
                == EngineError(
                    .io,
                    "write failed",
                    file: "0000000001.log",
                    offset: 740,
                    errno: EIO
                )
        )
    }

    @Test func aReadErrorIsRetriedOnce() throws {
        try file.writeFully(bytes, at: 0)
        fileSystem.inject(SimulatedFault(.read, errno: EIO))
        #expect(try file.read(count: 5000, at: 0) == bytes)

        fileSystem.inject(SimulatedFault(.read, errno: EIO, duration: .forever))
        let calls = fileSystem.callCount
        #expect { try file.read(count: 5000, at: 0) } throws: {
            ($0 as? EngineError)?.errno == EIO
        }
        #expect(fileSystem.callCount == calls + 2)
    }

    @Test func aFailedSyncIsNotRetried() throws {
        try file.writeFully(bytes, at: 0)
        fileSystem.inject(SimulatedFault(.dataSync, errno: EIO))
        let calls = fileSystem.callCount

        #expect { try file.dataSync() } throws: { ($0 as? EngineError)?.errno == EIO }

        #expect(fileSystem.callCount == calls + 1)
    }

    @Test func allocationMayBeUnsupported() throws {
        fileSystem.inject(SimulatedFault(.allocate, errno: EOPNOTSUPP))

        #expect { try file.allocate(size: 10) } throws: {
            ($0 as? EngineError)?.errno == EOPNOTSUPP
        }
    }

    @Test func aDroppedFileIsClosed() throws {
        let count = fileSystem.openHandleCount
        do {
            let other = try directory.open(.log(1), for: .read)
            #expect(try other.size() == 0)
            #expect(fileSystem.openHandleCount == count + 1)
        }

        #expect(fileSystem.openHandleCount == count)
    }

    @Test func aFailedCloseIsReportedOnceAndClosed() throws {
        fileSystem.inject(SimulatedFault(.close, errno: EIO))
        let count = fileSystem.openHandleCount

        #expect(throws: EngineError.self) { try file.close() }

        #expect(fileSystem.openHandleCount == count - 1)
    }
}
