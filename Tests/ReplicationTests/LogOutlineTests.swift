@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// Logs as arrays of records, each named by a number; outlines are made from them.
struct PlainLog: Equatable {
    struct Record: Equatable {
        let epoch: Epoch
        let sequence: UInt64
        let hash: UInt64
    }

    var records: [Record] = []
    var outline = LogOutline.empty

    mutating func begin(_ epoch: Epoch) { outline.begin(epoch) }

    mutating func append(_ name: UInt64) {
        let tail = outline.tail
        let record = Record(
            epoch: tail.epoch,
            sequence: tail.sequence + 1 + name % 3,
            hash: tail.logHash &* 31 &+ name
        )
        records.append(record)
        outline.extend(to: record.sequence, logHash: record.hash)
    }

    /// What is behind an end, of one epoch.
    func pack(after end: Tail, count: Int) -> Pack? {
        let later = outline.table.filter { $0.epoch.number > end.epoch.number }
        let beginning = later.prefix { $0.lastSequenceBefore == end.sequence }.map(\.epoch)
        let epoch = beginning.last ?? end.epoch
        let taken = records.filter { $0.epoch == epoch && $0.sequence > end.sequence }.prefix(count)
        guard let last = taken.last else { return nil }
        return Pack(
            from: end,
            to: Tail(epoch: epoch, sequence: last.sequence, logHash: last.hash),
            beginning: Array(beginning),
            first: taken.first?.sequence ?? 0,
            size: UInt64(taken.count),
            payload: 0
        )
    }

    /// A random log with epochs of a few records, some empty.
    static func random(_ generator: inout SeededGenerator, epochs: Int) -> PlainLog {
        var log = PlainLog()
        for number in 1...UInt64(epochs) {
            log.begin(Epoch(number: number, starter: generator.next()))
            for _ in 0..<Int.random(in: 0...4, using: &generator) { log.append(generator.next()) }
        }
        return log
    }

    /// The first records, with the epochs that began up to there.
    func prefix(_ count: Int) -> PlainLog {
        var log = PlainLog()
        for record in records.prefix(count) {
            for entry in outline.table
            where entry.epoch.number > log.outline.tail.epoch.number
                && entry.epoch.number <= record.epoch.number
            {
                log.begin(entry.epoch)
            }
            log.records.append(record)
            log.outline.extend(to: record.sequence, logHash: record.hash)
        }
        return log
    }
}

@Suite struct LogOutlineTests {
    @Test(arguments: UInt64(0)..<200)
    func packsThatFollowRebuildTheOutline(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let log = PlainLog.random(&generator, epochs: 5)
        var copy = LogOutline.empty
        while let pack = log.pack(after: copy.tail, count: Int.random(in: 1...3, using: &generator))
        {
            #expect(copy.fit(pack) == .next, "seed \(seed)")
            copy.append(pack)
            #expect(copy.fit(pack) == .duplicate, "seed \(seed)")
            #expect(copy.isWellFormed, "seed \(seed)")
        }

        #expect(copy.tail.sequence == log.outline.tail.sequence, "seed \(seed)")
    }

    @Test(arguments: UInt64(0)..<200)
    func nothingButTheExactSuccessorFits(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let log = PlainLog.random(&generator, epochs: 4)
        guard log.records.count > 3 else { return }
        let place = Int.random(in: 1..<(log.records.count - 1), using: &generator)
        let before = log.prefix(place).outline
        let next = try #require(log.pack(after: before.tail, count: 1))
        var longer = before
        longer.append(next)
        let later = try #require(log.pack(after: longer.tail, count: 1))
        var other = next
        other.hashBefore &+= 1
        var shifted = next
        shifted.previousSequence &-= 1

        #expect(before.fit(next) == .next, "seed \(seed)")
        #expect(before.fit(later) == .gap, "seed \(seed)")
        // Where an epoch begins, one without records may be missing.
        #expect(before.fit(other) == (next.beginning.isEmpty ? .foreign : .gap), "seed \(seed)")
        #expect(before.fit(shifted) != .next, "seed \(seed)")
    }

    @Test func anEpochWithoutARecordThatDidNotComeIsAGap() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        log.append(3)
        let before = log.outline
        log.begin(Epoch(number: 2, starter: 2))
        let middle = log.outline
        log.begin(Epoch(number: 3, starter: 3))
        log.append(5)
        let pack = Pack(
            from: middle.tail,
            to: log.outline.tail,
            beginning: [Epoch(number: 3, starter: 3)],
            first: 2,
            size: 1,
            payload: 0
        )

        #expect(middle.fit(pack) == .next)
        #expect(before.fit(pack) == .gap)
    }

    @Test func anOtherRecordInTheSamePlaceIsNoDuplicate() {
        var log = PlainLog()
        log.begin(Epoch(number: 1, starter: 1))
        log.append(3)
        var pack = Pack(
            from: LogOutline.empty.tail,
            to: log.outline.tail,
            beginning: [Epoch(number: 1, starter: 1)],
            first: 1,
            size: 1,
            payload: 0
        )

        #expect(log.outline.fit(pack) == .duplicate)
        pack.hashAfter &+= 1
        #expect(log.outline.fit(pack) == .foreign)
    }

    @Test func epochsOutOfOrderAreNotAnOutline() {
        let first = EpochEntry(
            epoch: Epoch(number: 2, starter: 1),
            lastSequenceBefore: 0,
            logHashBefore: 0
        )
        let second = EpochEntry(
            epoch: Epoch(number: 1, starter: 1),
            lastSequenceBefore: 5,
            logHashBefore: 0
        )
        let tail = Tail(epoch: second.epoch, sequence: 9, logHash: 0)

        #expect(!LogOutline(table: [first, second], tail: tail).isWellFormed)
        #expect(!LogOutline(table: [first], tail: tail).isWellFormed)
        #expect(!LogOutline(table: [], tail: tail).isWellFormed)
        #expect(LogOutline.empty.isWellFormed)
    }

    @Test func rankIsByEpochFirst() {
        let old = Tail(epoch: Epoch(number: 1, starter: 9), sequence: 100, logHash: 0)
        let new = Tail(epoch: Epoch(number: 2, starter: 1), sequence: 50, logHash: 0)

        #expect(new.ranksAbove(old) && !old.ranksAbove(new) && !new.ranksAbove(new))
    }
}
