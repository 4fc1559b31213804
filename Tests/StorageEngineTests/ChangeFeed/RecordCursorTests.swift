import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What a cursor hands out at once is what it hands out anyway, if no file is to be read for it and
/// it is little.
@Suite struct RecordCursorTests {
    private let directory = TemporaryDirectory()

    private func open() throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.isMember = true
        let store = try Engine.open(at: "\(directory.path)/one", options: options)
        try store.lead(Epoch(number: 1, starter: 8))
        return store
    }

    private enum Found: Equatable {
        case records([UInt64])
        case nothing, later
    }

    private func next(
        _ cursor: RecordCursor,
        through last: UInt64 = .max,
        sizeMax: Int = 1 << 20
    ) throws -> Found {
        switch try cursor.nextAtOnce(through: last, sizeMax: sizeMax) {
        case .records(let records): .records(records.entries.map(\.head.sequence))
        case .nothing: .nothing
        case .later: .later
        }
    }

    @Test func recordsInMemoryAreHandedOutAtOnce() throws {
        let store = try open()
        let cursor = try #require(try store.recordCursor(after: .start))
        #expect(try next(cursor) == .nothing)
        for number in 1...10 { try store.put("\(number)", for: "a", ack: .wal) }

        #expect(try next(cursor, through: 0) == .nothing)
        #expect(try next(cursor, through: 3) == .records([1, 2, 3]))
        #expect(try next(cursor, through: 3) == .nothing)
        #expect(try next(cursor, sizeMax: 1) == .records([4]))
        #expect(cursor.position.sequence == 4)
        let records = try cursor.next(through: 6, sizeMax: 1 << 20)
        #expect(records?.end.sequence == 6)
        #expect(try next(cursor) == .records([7, 8, 9, 10]))
        #expect(try next(cursor) == .nothing)
        try store.close()
    }

    @Test func whatIsInFilesOnlyIsForWhoMayWait() throws {
        var store = try open()
        for number in 1...10 { try store.put("\(number)", for: "a", ack: .wal) }
        try store.close()
        store = try open()
        let cursor = try #require(try store.recordCursor(after: .start))

        #expect(try next(cursor) == .later)
        #expect(try next(cursor) == .later)
        #expect(try cursor.next(through: .max, sizeMax: 1)?.end.sequence == 1)
        // What was read is at hand.
        #expect(try next(cursor) == .records(Array(2...10)))
        try store.put("11", for: "a", ack: .wal)
        #expect(try next(cursor) == .later, "a file is open, and would be closed")
        #expect(try cursor.next(through: .max, sizeMax: 1)?.end.sequence == 11)
        try store.put("12", for: "a", ack: .wal)
        #expect(try next(cursor) == .records([12]))
        #expect(try next(cursor) == .nothing)
        try store.close()
    }

    @Test func whatIsLargeIsForWhoMayWait() throws {
        let store = try open()
        let cursor = try #require(try store.recordCursor(after: .start))
        for size in [100, 40_000, 40_000, 70_000, 100] {
            try store.put([UInt8](repeating: 7, count: size), for: "a", ack: .wal)
        }

        #expect(try next(cursor) == .records([1, 2]))
        #expect(try next(cursor) == .records([3]))
        #expect(try next(cursor) == .later)
        #expect(try next(cursor) == .later)
        #expect(try cursor.next(through: .max, sizeMax: 1)?.end.sequence == 4)
        #expect(try next(cursor) == .records([5]))
        try store.close()
    }
}
