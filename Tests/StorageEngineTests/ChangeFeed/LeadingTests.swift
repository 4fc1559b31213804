import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Stores that take a leader's records and make their own by turns, with the engine's own threads.
@Suite struct LeadingTests {
    private let directory = TemporaryDirectory()

    private func open(_ name: String, of history: UniqueID? = nil) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.isMember = true
        options.follows = history
        return try Engine.open(at: "\(directory.path)/\(name)", options: options)
    }

    private func epoch(_ number: UInt64) -> Epoch { Epoch(number: number, starter: number + 7) }

    /// Brings one store to where another is.
    private func follow(_ follower: Engine, _ leader: Engine) throws {
        try leader.wait(for: leader.history().end.sequence, .wal)
        let cursor = try #require(try leader.recordCursor(after: follower.history().end))
        while let records = try cursor.next(through: .max, sizeMax: 4_000) {
            let (bytes, _) = records.packed(
                of: leader.historyID,
                after: try follower.history().end.logHash ?? 0,
                startsEpoch: records.epoch != (try follower.history().end.epoch)
            )
            let sizeMax = RecordBatch.packSizeMax
            try follower.apply(UnpackedRecords(bytes, sizeMax: sizeMax).records)
        }
    }

    /// Nothing comes behind it that would take it along.
    @Test(.timeLimit(.minutes(1))) func aRecordWithoutOperationsReachesTheLogByItself() throws {
        let store = try open("one")
        try store.lead(epoch(1))
        let receipt = try store.writeNoOp(ack: .memory)
        try receipt.reached(.wal)
        #expect(store.logPoints?.appended == 1)
        try store.close()
    }

    @Test func theLeadMovesBetweenStoresAndNoRecordIsLost() throws {
        var stores = [try open("one")]
        stores.append(try open("two", of: stores[0].historyID))
        var keys: Set<String> = []
        for round in 0..<80 {
            let leader = stores[round % 2]
            try leader.lead(epoch(UInt64(round) + 1))
            // Some epochs are without a record, some end with records in the buffer.
            for number in 0..<round % 7 * 3 {
                let key = "\(round)-\(number)"
                try leader.put("value", for: key, ack: number % 3 == 0 ? .wal : .memory)
                keys.insert(key)
            }
            try leader.stopLeading()
            try follow(stores[1 - round % 2], leader)
            let ends = try stores.map { try $0.history().end }
            #expect(ends[0] == ends[1], "round \(round)")
            if round % 20 == 19 {
                for store in stores { try store.close() }
                stores = [try open("one"), try open("two")]
            }
        }
        for store in stores {
            #expect(Set(try contents(store).keys) == keys)
            _ = try store.verify()
            try store.close()
        }
        let again = try stores.map { try open($0.path.hasSuffix("one") ? "one" : "two") }
        #expect(try again[0].history() == again[1].history())
        #expect(Set(try contents(again[1]).keys) == keys)
        for store in again { try store.close() }
    }

    @Test func anEpochWithoutARecordLeavesNoTrace() throws {
        let store = try open("one")
        try store.lead(epoch(1))
        try store.put("1", for: "a", ack: .wal)
        let before = try store.history()
        try store.stopLeading()
        for number in 2..<10 as Range<UInt64> {
            try store.lead(epoch(number))
            try store.stopLeading()
        }
        #expect(try store.history() == before)
        try store.lead(epoch(11))
        try store.close()
        let again = try open("one")
        #expect(try again.history() == before)
        try again.close()
    }

    @Test func aStoreThatDoesNotLeadRefusesWritesAndOneThatLeadsRefusesRecords() throws {
        let leader = try open("one")
        try leader.lead(epoch(1))
        let receipt = try leader.writeNoOp(ack: .wal)
        #expect(receipt.position.sequence == 1)
        let cursor = try #require(try leader.recordCursor(after: .start))
        let records = try #require(try cursor.next(through: .max, sizeMax: 1))
        let refused = #expect(throws: EngineError.self) { try leader.apply(records) }
        #expect(refused?.code == .invalidArgument)
        try leader.stopLeading()
        let write = #expect(throws: EngineError.self) { try leader.put("1", for: "a") }
        #expect(write?.code == .notLeader)
        // The same epoch goes on.
        try leader.lead(epoch(1))
        #expect(try leader.put("1", for: "a", ack: .wal).position.epoch == epoch(1))
        #expect(try leader.history().epochs.map(\.epoch) == [epoch(1)])
        try leader.close()
    }

    /// On a full disk that would take long.
    @Test func nobodyWaitsForARecordThatIsInNoFileYet() throws {
        var options = Engine.Options()
        options.logger = .silent
        options.isMember = true
        options.memoryDelay = .seconds(3_600)
        let store = try Engine.open(at: "\(directory.path)/one", options: options)
        try store.lead(epoch(1))
        try store.put("1", for: "a", ack: .wal)
        let first = try store.history().end
        try store.put("2", for: "a", ack: .memory)

        let cursor = try #require(try store.recordCursor(after: first))
        #expect(try cursor.next(through: .max, sizeMax: 1_000) == nil)
        #expect(try store.recordCursor(after: store.history().end) == nil)

        let last = try store.put("3", for: "a", ack: .wal).position
        let records = try #require(try cursor.next(through: .max, sizeMax: 1_000))
        #expect(records.end == last && records.count == 2)
        #expect(try store.recordCursor(after: last) != nil)
        try store.close()
    }

    @Test func recordsBeyondWhatWasAskedForAreHandedOutLater() throws {
        let store = try open("one")
        try store.lead(epoch(1))
        let cursor = try #require(try store.recordCursor(after: .start))
        for number in 1...50 { try store.put("\(number)", for: "a", ack: .memory) }
        #expect(try cursor.next(through: 0, sizeMax: 1_000_000) == nil)
        var sequences: [UInt64] = []
        for last in [10, 10, 20, 50] as [UInt64] {
            while let records = try cursor.next(through: last, sizeMax: 20) {
                #expect(records.count <= 5)
                sequences += records.entries.map(\.head.sequence)
            }
            #expect(sequences.last == last)
        }
        #expect(sequences == Array(1...50))
        try store.close()
    }

    @Test func aCopySaysWhereItsHistoryEnds() throws {
        let store = try open("one")
        try store.lead(epoch(1))
        for number in 1...20 { try store.put("\(number)", for: "a", ack: .memory) }
        let (epochs, end) = try store.copy(to: directory.path + "/copy")
        #expect(end.sequence == 20)
        let copy = try open("copy")
        #expect(try copy.history().end == end)
        #expect(try copy.history().epochs == epochs)
        #expect(copy.memberID != store.memberID)
        try copy.close()
        try store.closeWithoutFlush()
        let again = try open("one")
        #expect(try again.history().end == end)
        try again.close()
    }
}

/// Sequences by the clock, and by the client, with the engine's own threads.
@Suite struct SequencePolicyTests {
    private let directory = TemporaryDirectory()

    private func open(
        _ name: String,
        _ policy: SequencePolicy,
        of history: UniqueID? = nil
    ) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 20_000
        options.sequences = policy
        options.follows = history
        return try Engine.open(at: "\(directory.path)/\(name)", options: options)
    }

    private func batch(_ key: String, _ value: String) throws -> WriteBatch {
        var batch = WriteBatch()
        try batch.put(value, for: key)
        return batch
    }

    @Test func theClockGivesAscendingSequencesThroughReopens() throws {
        var last: UInt64 = 0
        for _ in 0..<3 {
            let store = try open("clock", .clock)
            let before = SystemTime().wallMilliseconds
            for number in 0..<300 {
                let ack: AckPoint = number % 2 == 0 ? .memory : .wal
                let receipt = try store.put("\(number)", for: "k\(number % 20)", ack: ack)
                #expect(receipt.position.sequence > last)
                last = receipt.position.sequence
            }
            #expect(last >> 16 >= before)
            #expect(store.lastSequence == last)
            try store.close()
        }
        let store = try open("clock", .clock)
        #expect(try store.history().end.sequence == last)
        #expect(try contents(store).count == 20)
        _ = try store.verify()
        try store.close()
    }

    @Test func aClientsSequencesAreKeptAndOthersAreRefused() async throws {
        let store = try open("client", .client)
        try await store.write(batch("a", "1"), sequence: 1_000, ack: .wal)
        for wanted in [0, 1, 999, 1_000, 1 << 63] as [UInt64] {
            let error = #expect(throws: EngineError.self) {
                try store.write(batch("a", "2"), sequence: wanted)
            }
            #expect(error?.code == .invalidArgument)
        }
        let without = #expect(throws: EngineError.self) { try store.put("2", for: "a") }
        #expect(without?.code == .invalidArgument)
        try await store.write(batch("a", "2"), sequence: 1_001, ack: .memory)
        try await store.write(batch("b", "3"), sequence: 5_000_000_000_000, ack: .disk)
        #expect(store.lastSequence == 5_000_000_000_000)
        #expect(try contents(store) == ["a": "2", "b": "3"])
        try await store.close()
        let again = try open("client", .client)
        #expect(again.lastSequence == 5_000_000_000_000)
        #expect(try contents(again) == ["a": "2", "b": "3"])
        try await again.close()
        let counting = try open("counter", .counter)
        let refused = #expect(throws: EngineError.self) {
            try counting.write(batch("a", "1"), sequence: 7)
        }
        #expect(refused?.code == .invalidArgument)
        try await counting.close()
    }

    /// Of writes that are refused inside a group the others are not touched.
    @Test func concurrentClientsGetEachWriteInOrRefused() async throws {
        let store = try open("many", .client)
        let written = await withTaskGroup(of: [UInt64].self) { group in
            for task in 0..<8 as Range<UInt64> {
                group.addTask { await Self.write(store, task) }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(!written.isEmpty)
        #expect(Set(written).count == written.count)
        let cursor = try #require(try store.recordCursor(after: .start))
        var found: [UInt64] = []
        while let records = try cursor.next(through: .max, sizeMax: 1 << 20) {
            found += records.entries.map(\.head.sequence)
        }
        #expect(found == written.sorted())
        try await store.close()
        let again = try open("many", .client)
        #expect(again.lastSequence == found.last)
        try await again.close()
    }

    private static func write(_ store: Engine, _ task: UInt64) async -> [UInt64] {
        var written: [UInt64] = []
        for number in 1...100 as ClosedRange<UInt64> {
            let sequence = number * 1_000 + task
            var batch = WriteBatch()
            do {
                try batch.put("\(number)", for: "\(task)-\(number)")
                let ack: AckPoint = number % 3 == 0 ? .memory : .wal
                try await store.write(batch, sequence: sequence, ack: ack)
                written.append(sequence)
            } catch {}
        }
        return written
    }

    @Test(arguments: [SequencePolicy.clock, .client])
    func followersAndConsumersPassOverGaps(policy: SequencePolicy) throws {
        let leader = try open("leader", policy)
        let follower = try open("follower", .counter, of: leader.historyID)
        for number in 1...400 as ClosedRange<UInt64> {
            let (key, value) = ("k\(number % 30)", "\(number)")
            if policy == .client {
                try leader.write(batch(key, value), sequence: number * number, ack: .wal)
            } else {
                try leader.put(value, for: key, ack: .wal)
            }
        }
        let cursor = try FeedCursor.open(try leader.writable(), after: .start, horizon: .wal)
        while case .batch(let records) = try cursor.next(readsFiles: true) {
            try follower.apply(ChangeBatch(records))
        }
        #expect(try follower.position() == leader.position())
        #expect(try contents(follower) == contents(leader))
        var consumer = try leader.changeCursor(after: .start, upTo: .wal)
        var (count, last) = (0, UInt64(0))
        while try consumer.next() {
            #expect(consumer.record.previousSequence == last)
            last = consumer.record.position.sequence
            count += 1
        }
        #expect(count == 400)
        let middle = try leader.changeCursor(after: Position(sequence: last - 1), upTo: .wal)
        #expect(middle.position.sequence == last - 1)
        for store in [leader, follower] { try store.close() }
    }
}
