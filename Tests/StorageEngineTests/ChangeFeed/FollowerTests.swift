import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A store that follows another one, with real files and the engine's own threads.
@Suite struct FollowerTests {
    private let directory = TemporaryDirectory()

    private func options() -> Engine.Options {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 20_000
        return options
    }

    private func leader() throws -> Engine {
        try Engine.open(at: directory.path + "/leader", options: options())
    }

    private func follower(of history: UniqueID, _ name: String = "follower") throws -> Engine {
        var options = options()
        options.follows = history
        return try Engine.open(at: "\(directory.path)/\(name)", options: options)
    }

    private func write(_ engine: Engine, _ range: Range<Int>) throws {
        for number in range {
            var generator = SeededGenerator(seed: UInt64(number))
            switch number % 10 {
            case 7: try engine.delete("k\((number * 7) % 50)", ack: .wal)
            case 8:
                let lower = Array("k\(number % 50)".utf8)
                try engine.deleteRange(KeyRange(from: lower, to: lower + [0x35]), ack: .wal)
            default:
                let value = (0..<60).map { _ in UInt8.random(in: 0...255, using: &generator) }
                try engine.put(value, for: "k\(number % 50)", ack: .wal)
            }
        }
    }

    /// Everything that a leader has, in batches.
    private func batches(
        of leader: Engine,
        after position: Position = .start
    ) throws -> [ChangeBatch] {
        let cursor = try FeedCursor.open(try leader.writable(), after: position, horizon: .wal)
        var found: [ChangeBatch] = []
        while case .batch(let batch) = try cursor.next(readsFiles: true) {
            found.append(ChangeBatch(batch))
        }
        return found
    }

    /// All keys with their values, as bytes.
    private func state(_ engine: Engine) throws -> [[UInt8]] {
        var cursor = try engine.makeSnapshot().cursor()
        var found: [[UInt8]] = []
        while try cursor.next() {
            found.append(cursor.key.withUnsafeBufferPointer(Array.init))
            found.append(cursor.value.withUnsafeBufferPointer(Array.init))
        }
        return found
    }

    @Test func aFollowerHasTheLeadersHistoryThroughEpochsAndReopens() throws {
        var leader = try leader()
        var follower = try follower(of: leader.historyID)
        for round in 0..<6 {
            try write(leader, round * 100..<(round + 1) * 100)
            for batch in try batches(of: leader, after: follower.position()) {
                try follower.apply(batch, ack: round % 2 == 0 ? .wal : .disk)
            }
            #expect(try follower.position() == leader.position(), "round \(round)")
            #expect(try state(follower) == state(leader), "round \(round)")
            if round % 2 == 1 {
                try leader.close()
                leader = try self.leader()
            }
            if round % 3 == 1 {
                try follower.close()
                follower = try self.follower(of: leader.historyID)
                #expect(try follower.position() == leader.position(), "round \(round), reopened")
            }
        }
        let epochs = try leader.writable().epochs
        #expect(epochs.count == 3)
        #expect(try follower.writable().epochs == epochs)
        _ = try follower.verify()
        try follower.compact()
        #expect(try state(follower) == state(leader))
        try leader.close()
        try follower.close()
    }

    @Test func aFollowerFeedsTheNextOne() throws {
        let leader = try leader()
        let middle = try follower(of: leader.historyID, "middle")
        let last = try follower(of: leader.historyID, "last")
        try write(leader, 0..<150)
        for batch in try batches(of: leader) { try middle.apply(batch) }
        for batch in try batches(of: middle) { try last.apply(batch) }
        #expect(try last.position() == leader.position())
        #expect(try state(last) == state(leader))
    }

    @Test func whatIsThereIsPassedOverAndWhatDoesNotFollowIsRefused() throws {
        let leader = try leader()
        try write(leader, 0..<30)
        let all = try #require(try batches(of: leader).first).records
        let follower = try follower(of: leader.historyID)
        #expect(code { try follower.apply(ChangeBatch(all.dropFirst(1))) } == .gap)
        try follower.apply(ChangeBatch(all.prefix(through: 10)))
        try follower.apply(ChangeBatch(all.prefix(through: 10)))
        #expect(try follower.position().sequence == 10)
        #expect(code { try follower.apply(ChangeBatch(all.dropFirst(11))) } == .gap)
        // It begins with what is there.
        try follower.apply(ChangeBatch(all.dropFirst(5)))
        #expect(try follower.position() == leader.position())
    }

    @Test func anotherHistoryIsRefused() throws {
        let leader = try leader()
        try write(leader, 0..<20)
        let records = try #require(try batches(of: leader).first).records
        let follower = try follower(of: leader.historyID)
        try follower.apply(ChangeBatch(records.prefix(through: 5)))

        var forged = RecordBatch.Builder(
            epoch: records.epoch,
            previousSequence: 5,
            hashBefore: records.dropFirst(5).hashBefore
        )
        for entry in records.dropFirst(5).entries {
            records.withOperations(of: entry) { bytes in
                forged.append(entry.head, hash: entry.hash &+ 1, operations: bytes)
            }
        }
        let forgedBatch = ChangeBatch(forged.finish())
        #expect(code { try follower.apply(forgedBatch) } == .diverged)
        var fenced = RecordBatch.Builder(
            epoch: Epoch(number: 1, starter: 1),
            previousSequence: 5,
            hashBefore: 0
        )
        if let entry = records.dropFirst(5).entries.first {
            records.withOperations(of: entry) { fenced.append(entry.head, hash: 0, operations: $0) }
        }
        let fencedBatch = ChangeBatch(fenced.finish())
        #expect(code { try follower.apply(fencedBatch) } == .fenced)
        #expect(try follower.position().sequence == 5)
        #expect(code { try follower.put("v", for: "k") } == .notLeader)
        #expect(code { try leader.apply(ChangeBatch(records)) } == .invalidArgument)
        try follower.close()
        let stranger = UniqueID(high: 1, low: 2)
        #expect(code { _ = try self.follower(of: stranger) } == .wrongStore)
    }

    @Test(.timeLimit(.minutes(5))) func aFollowerKeepsUpWithALeaderThatWrites() async throws {
        let leader = try leader()
        let follower = try follower(of: leader.historyID)
        let following = Task { try await Follower(follower).follow(leader, upTo: .memory) }
        try write(leader, 0..<500)
        let end = try leader.position()
        try await reach(end, follower)
        following.cancel()
        await #expect(throws: CancellationError.self) { try await following.value }
        #expect(try follower.position() == end)
        #expect(try state(follower) == state(leader))
    }

    @Test(.timeLimit(.minutes(5))) func aFollowerReadsTheLogThatAnotherProcessWrites() async throws
    {
        let leader = try leader()
        try write(leader, 0..<200)
        let follower = try follower(of: leader.historyID)
        let path = directory.path + "/leader"
        let following = Task { try await Follower(follower).follow(logOf: path) }
        try write(leader, 200..<400)
        let end = try leader.position()
        // The marker that proves the last record is written once the log is idle.
        try await reach(end, follower)
        following.cancel()
        _ = await following.result
        #expect(try follower.position() == end)
        #expect(try state(follower) == state(leader))
    }

    /// Waits until a follower has a position, by its own feed.
    private func reach(_ end: Position, _ follower: Engine) async throws {
        var position = try follower.position()
        guard position.sequence < end.sequence else { return }
        for try await batch in try await follower.changes(after: position, upTo: .wal) {
            position = batch.position
            if position.sequence >= end.sequence { return }
        }
    }
}
