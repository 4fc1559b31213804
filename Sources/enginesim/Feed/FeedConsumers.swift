import Glibc
import StorageEngine
import StorageEngineTestSupport

/// The eight consumers of a run.
struct FeedConsumers: Sendable {
    let engine: Engine
    /// The last write.
    let count: UInt64

    /// Those that have slots, sorted.
    static let slotNames = ["async", "crashing", "disk", "late", "paused", "wal"]
    /// Writes between two acknowledgements.
    private static let ackDistance: UInt64 = 1000

    func start(_ readers: Readers) throws {
        for name in Self.slotNames where name != "paused" {
            try engine.createSlot(name, after: .start)
        }
        try engine.createSlot("paused", after: .start, limits: SlotLimits(size: 8 << 20))
        readers.start(FeedReader("memory")) { try follow($0, upTo: .memory) }
        readers.start(FeedReader("filtered")) { try readFiltered($0) }
        readers.start(FeedReader("wal")) { try readSlot($0, upTo: .wal) }
        readers.start(FeedReader("disk")) { try readSlot($0, upTo: .disk) }
        readers.startTask(FeedReader("async")) { try await readAsync($0) }
        readers.start(FeedReader("late")) { try readLate($0) }
        readers.start(FeedReader("paused", isAwaited: false)) { try readPaused($0) }
        readers.start(FeedReader("crashing")) { try readCrashing($0) }
    }

    // MARK: - Those who only read

    private func follow(_ reader: FeedReader, upTo horizon: AckPoint) throws {
        var check = FeedCheck(after: .start)
        var cursor = try engine.changeCursor(after: .start, upTo: horizon)
        while check.position.sequence < count, try cursor.next(waits: true) {
            try check.take(cursor.record)
            reader.note(check)
        }
    }

    private func readFiltered(_ reader: FeedReader) throws {
        var check = FeedCheck(after: .start, isFiltered: true)
        var cursor = try engine.changeCursor(
            after: .start,
            upTo: .wal,
            filter: FeedHistory.filter
        )
        while check.position.sequence < count {
            // Without a wanted write at the end nothing would wake it: it looks again.
            if try cursor.next() {
                try check.take(cursor.record)
            } else {
                try check.pass(to: cursor.position)
                usleep(500)
            }
            reader.note(check)
        }
    }

    // MARK: - Those with slots

    private func readSlot(_ reader: FeedReader, upTo horizon: AckPoint) throws {
        var check = FeedCheck(after: .start)
        try read(&check, reader, upTo: horizon)
    }

    /// Reads on from a slot to the end, and acknowledges.
    private func read(
        _ check: inout FeedCheck,
        _ reader: FeedReader,
        upTo horizon: AckPoint
    ) throws {
        var cursor = try engine.changeCursor(slot: reader.name, upTo: horizon)
        while check.position.sequence < count, try cursor.next(waits: true) {
            try check.take(cursor.record)
            try acknowledge(check, reader)
        }
    }

    private func acknowledge(_ check: FeedCheck, _ reader: FeedReader) throws {
        reader.note(check)
        let sequence = check.position.sequence
        guard sequence % Self.ackDistance == 0 || sequence == count else { return }
        try engine.acknowledge(check.position, slot: reader.name)
    }

    private func readAsync(_ reader: FeedReader) async throws {
        var check = FeedCheck(after: .start)
        for try await batch in try await engine.changes(slot: reader.name) {
            try batch.forEach { try check.take($0) }
            reader.note(check)
            try engine.acknowledge(check.position, slot: reader.name)
            if check.position.sequence >= count { break }
        }
    }

    /// Stays so far behind the writer that it always reads from files.
    private func readLate(_ reader: FeedReader) throws {
        let distance = min(100_000, count / 4)
        var check = FeedCheck(after: .start)
        var cursor = try engine.changeCursor(slot: reader.name, upTo: .wal)
        while check.position.sequence < count, try cursor.next(waits: true) {
            try check.take(cursor.record)
            try acknowledge(check, reader)
            while engine.lastSequence < min(count, check.position.sequence + distance) {
                usleep(2000)
            }
        }
    }

    /// Stops reading until its slot is lost, is refused then, and begins again with a snapshot.
    private func readPaused(_ reader: FeedReader) throws {
        var check = FeedCheck(after: .start)
        var cursor = try engine.changeCursor(slot: reader.name, upTo: .wal)
        while check.position.sequence < 1000, try cursor.next(waits: true) {
            try check.take(cursor.record)
        }
        try engine.acknowledge(check.position, slot: reader.name)
        while engine.slots.first(where: { $0.name == reader.name })?.isLost != true {
            guard engine.lastSequence < count else {
                throw SimulationFailure("the slot is never lost")
            }
            usleep(5000)
        }
        // The file that the cursor has open may be read to its end.
        try expectTrimmed { while try cursor.next(waits: true) { try check.take(cursor.record) } }
        try expectTrimmed { _ = try engine.changeCursor(slot: reader.name) }
        let early = check.records
        try engine.dropSlot(reader.name)
        let start = try engine.bootstrap(slot: reader.name)
        let keys = try FeedHistory.check(start.snapshot, through: start.position.sequence)
        try engine.acknowledge(start.position, slot: reader.name)
        check = FeedCheck(after: start.position)
        reader.note(check)
        try read(&check, reader, upTo: .wal)
        reader.remarks.append("\(early) before its slot was lost")
        reader.remarks.append("a snapshot of \(keys) keys at \(start.position.sequence)")
        if check.records == 0 { try engine.acknowledge(check.position, slot: reader.name) }
    }

    private func expectTrimmed(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as EngineError where error.code == .trimmed {
            return
        }
        throw SimulationFailure("a lost slot was read without an error")
    }

    /// Crashes every second: what it has written out stays, all else is gone, and it goes on from
    /// its slot. By position it drops what it has written out before.
    private func readCrashing(_ reader: FeedReader) throws {
        let time = SystemTime()
        var output = FeedCheck(after: .start)
        var (crashes, duplicates) = (0, 0)
        while output.position.sequence < count {
            let end = time.monotonicNanoseconds + 1_000_000_000
            var cursor = try engine.changeCursor(slot: reader.name, upTo: .wal)
            var last = cursor.position.sequence
            guard last <= output.position.sequence else {
                throw SimulationFailure("the slot is before what was written out, at \(last)")
            }
            while output.position.sequence < count, time.monotonicNanoseconds < end,
                try cursor.next(waits: true)
            {
                let sequence = cursor.record.position.sequence
                guard sequence == last + 1 else {
                    throw SimulationFailure("\(sequence) came after \(last)")
                }
                last = sequence
                if sequence <= output.position.sequence {
                    duplicates += 1
                } else {
                    try output.take(cursor.record)
                    try acknowledge(output, reader)
                }
            }
            crashes += 1
        }
        reader.remarks.append("\(crashes - 1) crashes, \(duplicates) writes came again")
    }
}
