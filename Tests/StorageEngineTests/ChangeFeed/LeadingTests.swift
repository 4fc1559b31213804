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
        let cursor = try leader.recordCursor(after: follower.history().end)
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
        let cursor = try leader.recordCursor(after: .start)
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

    @Test func recordsBeyondWhatWasAskedForAreHandedOutLater() throws {
        let store = try open("one")
        try store.lead(epoch(1))
        let cursor = try store.recordCursor(after: .start)
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
