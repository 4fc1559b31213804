import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// The public API on the real file system, with the engine's own threads.
@Suite struct EngineTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/store" }

    private func open(_ adjust: (inout Engine.Options) -> Void = { _ in }) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        adjust(&options)
        return try Engine.open(at: path, options: options)
    }

    @Test func whatIsWrittenIsThereAfterReopening() throws {
        let engine = try open()
        for (number, ack) in AckPoint.allCases.enumerated() {
            try engine.put("value\(number)", for: "key\(number)", ack: ack)
        }
        try engine.put("", for: "", ack: .wal)
        try engine.put([0, 255, 10], for: [0, 255], ack: .wal)
        try engine.delete("key0", ack: .wal)
        try engine.close()

        let reopened = try open()

        #expect(try reopened.value(for: "key0") == nil)
        #expect(try reopened.value(for: "key1") == Array("value1".utf8))
        #expect(try reopened.value(for: "") == [])
        #expect(try reopened.withValue(for: [0, 255]) { $0.count } == 3)
        #expect(try reopened.contains("key2"))
        #expect(try reopened.values(for: ["key1", "none"]) == [Array("value1".utf8), nil])
        #expect(reopened.recovery.records == 6)
        try reopened.close()
    }

    @Test func droppingAnEngineKeepsWhatReachedTheLog() throws {
        var engine: Engine? = try open()
        try engine?.put("1", for: "wal", ack: .wal)
        engine = nil

        let reopened = try open()

        #expect(try reopened.value(for: "wal") == Array("1".utf8))
        #expect(reopened.recovery.rewrittenRecords == 1)
    }

    @Test func limitsAreInclusiveAndKeepNothingOfWhatExceedsThem() throws {
        let engine = try open()
        let key = [UInt8](repeating: 7, count: Limits.keySize)
        let value = [UInt8](repeating: 9, count: Limits.valueSize)

        try engine.put(value, for: key, ack: .wal)
        let last = engine.lastSequence

        #expect(code { try engine.put([], for: key + [1], ack: .wal) } == .invalidArgument)
        #expect(code { try engine.put(value + [1], for: [1], ack: .wal) } == .invalidArgument)
        #expect(engine.lastSequence == last)
        try engine.close()
        #expect(try open { $0.readOnly = true }.withValue(for: key) { $0.count } == value.count)
    }

    @Test func aBatchAtItsLimitIsWrittenAndOneByteMoreIsNot() throws {
        var batch = WriteBatch()
        let value = [UInt8](repeating: 3, count: Limits.valueSize)
        try batch.put(value, for: "a")
        // Kind, keyspace, key size, key; value size takes four bytes.
        let room = Limits.batchSize - batch.encodedSize - 4 - 4
        try batch.put(value[..<room], for: "b")

        #expect(batch.encodedSize == Limits.batchSize)
        var refusal: EngineError.Code?
        do { try batch.delete("c") } catch { refusal = error.code }
        #expect(refusal == .invalidArgument)
        #expect(batch.count == 2 && batch.encodedSize == Limits.batchSize)
        let engine = try open()
        try engine.write(batch, ack: .disk)
        #expect(try engine.withValue(for: "b") { $0.count } == room)
        try engine.close()
    }

    @Test func theLastOperationOnAKeyWins() throws {
        var batch = WriteBatch()
        for round in 0..<1000 {
            try batch.put("\(round)", for: "a")
            try batch.put("\(round)", for: "b")
            if round % 2 == 0 { try batch.delete("b") }
        }
        try batch.delete("a")

        #expect(batch.count == 2)
        let engine = try open()
        try engine.write(batch, ack: .wal)
        #expect(try contents(engine) == ["b": "999"])
        batch.removeAll()
        #expect(batch.isEmpty && batch.encodedSize == 0)
        let receipt = try engine.write(batch, ack: .disk)
        #expect(receipt.position.sequence == 1)
        try engine.close()
    }

    @Test func receiptsSayWhereAndReachFurther() throws {
        let engine = try open()

        let first = try engine.put("1", for: "a", ack: .memory)
        let second = try engine.put("2", for: "b", ack: .wal)

        #expect(first.position.sequence == 1 && first.reached == .memory)
        #expect(second.position.sequence == 2 && second.reached == .wal)
        #expect(first.position.epoch == second.position.epoch)
        #expect(first.position.epoch.number == 1)
        try first.reached(.disk)
        #expect(engine.metrics.diskSequence >= 1)
        try engine.sync()
        #expect(engine.metrics.diskSequence == 2)
        try engine.close()
        try second.reached(.disk)
    }

    @Test func anEpochBeginsOnlyWithAWrite() throws {
        try open().close()
        try open().close()
        let engine = try open()

        let receipt = try engine.put("1", for: "a", ack: .wal)

        #expect(receipt.position.epoch.number == 1)
        try engine.close()
    }

    @Test func everythingThrowsAfterClose() async throws {
        let engine = try open()
        try await engine.put("1", for: "a", ack: .memory)
        let snapshot = try engine.makeSnapshot()
        try await engine.close()
        try await engine.close()

        #expect(code { try engine.put("2", for: "a", ack: .wal) } == .closed)
        #expect(code { _ = try engine.value(for: "a") } == .closed)
        #expect(code { _ = try snapshot.value(for: "a") } == .closed)
        #expect(code { _ = try engine.makeSnapshot() } == .closed)
        #expect(code { try engine.sync() } == .closed)
        #expect(code { _ = try engine.position() } == .closed)
        #expect(code { _ = try engine.delta(after: 0) } == .closed)
    }

    @Test func aSecondOpenIsLockedAlsoThroughALink() throws {
        let engine = try open()
        let link = directory.path + "/link"
        try #require(symlink(path, link) == 0)

        #expect(code { _ = try Engine.open(at: path) } == .locked)
        #expect(code { _ = try Engine.open(at: link) } == .locked)
        #expect(code { _ = try open { $0.readOnly = true } } == .locked)
        try engine.close()
        let reader = try open { $0.readOnly = true }
        let other = try open { $0.readOnly = true }
        #expect(code { try reader.put("1", for: "a", ack: .wal) } == .readOnly)
        #expect(code { _ = try open() } == .locked)
        try other.close()
        try reader.close()
    }

    @Test func anotherDirectoryIsNotTouched() throws {
        let file = directory.path + "/notes.txt"
        try #require(mkdir(path, 0o700) == 0)
        try #require(rename(file, file) == -1)
        let descriptor = creat(path + "/notes.txt", 0o600)
        try #require(descriptor >= 0)
        Glibc.close(descriptor)

        #expect(code { _ = try open() } == .notAStore)
        #expect(code { _ = try open { $0.readOnly = true } } == .notAStore)
        #expect(access(path + "/LOCK", F_OK) != 0 && access(path + "/STORE", F_OK) != 0)
        #expect(code { _ = try Engine.open(at: path + "/none/none") } != nil)
    }

    @Test func tasksWriteAndReadAtOnce() async throws {
        let engine = try open { $0.logFileSize = 20_000 }

        try await withThrowingTaskGroup(of: Int.self) { group in
            for task in 0..<32 { group.addTask { try await writeAndCount(engine, task) } }
            for try await count in group { #expect(count == 20) }
        }
        try await engine.sync()
        try await engine.close()

        #expect(try contents(open { $0.readOnly = true }).count == 640)
    }

    /// Writes twenty keys, and returns how many of them a snapshot has.
    private func writeAndCount(_ engine: Engine, _ task: Int) async throws -> Int {
        for number in 0..<20 {
            let ack = AckPoint.allCases[(task + number) % 3]
            try await engine.put("\(number)", for: "\(task)/\(number)", ack: ack)
        }
        return try await engine.read { snapshot in
            try (0..<20).count { try snapshot.contains("\(task)/\($0)") }
        }
    }

    @Test func aCancelledTaskWritesNothing() async throws {
        let engine = try open()

        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            try await engine.put("1", for: "a", ack: .wal)
        }
        task.cancel()
        let result = await task.result

        #expect(throws: CancellationError.self) { try result.get() }
        #expect(engine.lastSequence == 0)
        try await engine.close()
    }

    @Test func threadsWriteReadAndRotateAtOnce() throws {
        let engine = try open {
            $0.logFileSize = 20_000
            $0.memoryWindow = 4096
        }
        let threads = (0..<6).map { thread in
            WorkerThread(name: "writer-\(thread)") {
                do {
                    for number in 0..<150 {
                        let ack = AckPoint.allCases[(thread + number) % 3]
                        try engine.put(
                            [UInt8](repeating: UInt8(number), count: 60),
                            for: "\(thread)/\(number)",
                            ack: ack
                        )
                        #expect(try engine.contains("\(thread)/\(number)"))
                    }
                } catch {
                    Issue.record("\(error)")
                }
            }
        }
        for thread in threads { thread.join() }
        _ = try engine.verify()
        #expect(engine.metrics.rotations > 0)
        try engine.close()

        let reopened = try open { $0.readOnly = true }

        #expect(try contents(reopened).count == 900)
        #expect(reopened.recovery.rewrittenRecords == 0)
    }

    @Test func closingLetsEachWriteBeThereOrThrow() throws {
        let engine = try open()
        let counts = Counts()
        let threads = (0..<4).map { thread in
            WorkerThread(name: "writer-\(thread)") {
                for number in 0..<100_000 {
                    do throws(EngineError) {
                        try engine.put("1", for: "\(thread)/\(number)", ack: .memory)
                    } catch {
                        #expect(error.code == .closed)
                        return
                    }
                    counts.add()
                }
            }
        }
        while counts.value < 50 { sched_yield() }
        try engine.close()
        for thread in threads { thread.join() }

        #expect(try contents(open { $0.readOnly = true }).count == counts.value)
    }
}

/// A counter for threads.
private final class Counts: @unchecked Sendable {
    private let lock = Lock()
    private var count = 0

    func add() { lock.with { count += 1 } }
    var value: Int { lock.with { count } }
}
