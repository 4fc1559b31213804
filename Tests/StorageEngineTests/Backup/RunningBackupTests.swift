import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Checkpoints and backups of an engine with its threads, on the system's files, while it is
/// written.
@Suite struct RunningBackupTests {
    private static func open(_ path: String) throws -> Engine {
        var options = Engine.Options()
        options.writeBufferSize = 32_768
        options.logFileSize = 65_536
        options.compaction.level0Count = 2
        options.compaction.levelBaseSize = 100_000
        options.compaction.segmentSize = 30_000
        options.logger = .silent
        return try Engine.open(at: path, options: options)
    }

    /// Writes numbered keys, each batch with its number under one key, until it is told to stop.
    private final class Writer: @unchecked Sendable {
        private let lock = Lock()
        private var isStopping = false
        private(set) var failure: EngineError?

        func stop() { lock.with { isStopping = true } }

        func run(_ engine: Engine) {
            var number = 0
            do throws(EngineError) {
                while !lock.with({ isStopping }) {
                    number += 1
                    var batch = WriteBatch()
                    try batch.put("\(number)", for: "last")
                    try batch.put("\(number)" + Self.filler, for: "key\(number % 400)")
                    try engine.write(batch, ack: number % 64 == 0 ? .wal : .memory)
                }
            } catch {
                failure = error
            }
        }

        private static let filler = String(repeating: "abcdefgh", count: 40)
    }

    /// Checks that a store holds exactly the first batches, and returns how many.
    private func check(_ path: String) throws -> Int {
        let engine = try Self.open(path)
        _ = try engine.verify()
        let found = try contents(engine)
        // The first copy may be made before the first write.
        guard !found.isEmpty else {
            try engine.close()
            return 0
        }
        let last = try #require(found["last"].flatMap { Int($0) })
        for (key, value) in found where key != "last" {
            let slot = try #require(Int(key.dropFirst(3)))
            let number = last - (last - slot) % 400
            #expect(value.hasPrefix("\(number)a"), "\(key) after \(last)")
        }
        #expect(found.count == min(last, 400) + 1)
        #expect(engine.lastSequence == UInt64(last))
        try engine.close()
        return last
    }

    @Test func copiesAreWholeWhileOthersWrite() async throws {
        let temporary = TemporaryDirectory()
        let path = temporary.path
        let engine = try Self.open(path + "/db")
        let writer = Writer()
        let thread = WorkerThread(name: "writer") { writer.run(engine) }
        var before = 0
        for round in 0..<6 {
            let copy = "\(path)/copy\(round)"
            let report: UInt64
            if round % 2 == 0 {
                report = try await engine.checkpoint(at: copy).lastSequence
            } else {
                let made = try await engine.backup(to: path + "/backups", keeping: 2)
                report = made.backup.position.sequence
                try BackupDirectory(path: path + "/backups").restore(to: copy)
            }
            let last = try check(copy)
            #expect(UInt64(last) == report && last >= before)
            before = last
        }
        writer.stop()
        thread.join()
        #expect(writer.failure == nil && before > 0)
        #expect(engine.metrics.flushes > 0)
        try await engine.close()
        #expect(try check(path + "/db") >= before)
        #expect(try BackupDirectory(path: path + "/backups").verify().damages.isEmpty)
    }

    @Test func segmentsAreSharedAndStayWhenTheStoreIsRemoved() throws {
        let temporary = TemporaryDirectory()
        let path = temporary.path
        let engine = try Self.open(path + "/db")
        try engine.pauseCompactions()
        for number in 0..<500 {
            let value = "\(number)" + String(repeating: "x", count: 300)
            try engine.put(value, for: "key\(number)", ack: .memory)
        }
        try engine.flush()
        let expected = try contents(engine)

        let report = try engine.checkpoint(at: path + "/copy")

        #expect(report.linkedSegments > 0 && report.copiedSegments == 0)
        let directory = try StoreDirectory.open(path: path + "/copy", in: PosixFileSystem())
        for name in try directory.list().known {
            guard case .segment = name else { continue }
            var status = stat()
            try #require(stat("\(path)/copy/\(name)", &status) == 0)
            #expect(status.st_nlink == 2)
        }
        try engine.resumeCompactions()
        try engine.compact()
        try engine.close()
        let old = try StoreDirectory.open(path: path + "/db", in: PosixFileSystem())
        try old.durableRemove(try old.list().known.filter { $0 != .lock })
        let copy = try Self.open(path + "/copy")
        _ = try copy.verify()
        #expect(try contents(copy) == expected)
    }

    /// Only where there is another file system to copy to.
    @Test(.enabled(if: otherFileSystem() != nil))
    func onAnotherFileSystemSegmentsAreCopied() throws {
        let temporary = TemporaryDirectory()
        let parent = try #require(otherFileSystem())
        let target = "\(parent)/storage-engine-\(getpid())"
        let engine = try Self.open(temporary.path + "/db")
        for number in 0..<200 { try engine.put("\(number)", for: "key\(number)", ack: .memory) }
        try engine.flush()
        defer {
            let fileSystem = PosixFileSystem()
            do {
                let directory = try StoreDirectory.open(path: target, in: fileSystem)
                for name in try directory.list().known { directory.removeIfPossible(name) }
                let handle = try fileSystem.openDirectory(path: parent)
                try fileSystem.removeDirectory("storage-engine-\(getpid())", in: handle)
                try fileSystem.close(handle)
            } catch {}
        }

        let report = try engine.checkpoint(at: target)

        #expect(report.linkedSegments == 0 && report.copiedSegments > 0)
        let copy = try Self.open(target)
        #expect(try contents(copy) == contents(engine))
        try copy.close()
    }
}

/// A directory on another file system than temporary ones; `nil` when there is none.
private func otherFileSystem() -> String? {
    var here = stat()
    var there = stat()
    let temporary = TemporaryDirectory()
    guard stat(temporary.path, &here) == 0, stat("/dev/shm", &there) == 0,
        here.st_dev != there.st_dev, access("/dev/shm", W_OK) == 0
    else { return nil }
    return "/dev/shm"
}
