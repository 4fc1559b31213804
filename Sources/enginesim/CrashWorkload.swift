internal import Logging
import StorageEngine

/// What the writers of a real crash write, and what the store holds after any number of their
/// batches: both follow from the number of a batch alone, so that a store can be judged without a
/// record of what was written.
///
/// Each writer has keys of its own. Its batch `n` puts or deletes ``operationCount`` of them, the
/// next ones in a fixed round, puts `n` under the counter's key, and one more key of a run that
/// every fiftieth batch deletes as a range. A batch that is there in part shows in the counter.
struct CrashWorkload {
    static let writerCount = 4
    static let operationCount = 5
    private static let slotCount = 1000
    private static let runLength = 50

    let writer: Int

    /// Options under which flushes, compactions and new log files come many times a second.
    static var options: Engine.Options {
        var options = Engine.Options()
        options.logFileSize = 1 << 20
        options.writeBufferSize = 512 << 10
        options.cacheSize = 4 << 20
        options.compaction.levelBaseSize = 1 << 20
        options.compaction.segmentSize = 256 << 10
        options.logger = Logger(label: "crash") { _ in SwiftLogNoOpLogHandler() }
        return options
    }

    /// Three writers keep to an ack point, the fourth changes.
    func ack(of batch: Int) -> AckPoint {
        let points = AckPoint.allCases
        return points[writer < points.count ? writer : batch % points.count]
    }

    func fill(_ batch: inout WriteBatch, number: Int) throws(EngineError) {
        batch.removeAll()
        for index in 0..<Self.operationCount {
            let operation = (number - 1) * Self.operationCount + index
            let key = key(ofSlot: operation % Self.slotCount)
            if let value = value(of: operation) {
                try batch.put(value, for: key)
            } else {
                try batch.delete(key)
            }
        }
        if number % Self.runLength == 0 {
            try batch.deleteRange(KeyRange(prefix: runPrefix))
        } else {
            try batch.put([], for: runKey(of: number))
        }
        try batch.put(Self.bytes(of: UInt64(number)), for: counterKey)
    }

    /// How many of the batches are in a snapshot, by the counter.
    func count(in snapshot: Snapshot) throws(EngineError) -> Int {
        guard let bytes = try snapshot.value(for: counterKey) else { return 0 }
        return Int(bytes.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }

    /// The keys and values after a number of batches.
    func state(after count: Int) -> [(key: [UInt8], value: [UInt8])] {
        guard count > 0 else { return [] }
        var state = [(counterKey, Self.bytes(of: UInt64(count)))]
        let end = count * Self.operationCount
        for operation in max(0, end - Self.slotCount)..<end {
            guard let value = value(of: operation) else { continue }
            state.append((key(ofSlot: operation % Self.slotCount), value))
        }
        let runStart = count - count % Self.runLength
        for number in runStart + 1..<count + 1 { state.append((runKey(of: number), [])) }
        return state
    }

    // MARK: - Keys and values

    private var prefix: UInt8 { UInt8(ascii: "a") + UInt8(writer) }
    private var counterKey: [UInt8] { [prefix, 0] }
    private var runPrefix: [UInt8] { [prefix, 1] }

    private func runKey(of number: Int) -> [UInt8] {
        runPrefix + Self.bytes(of: UInt64(number % Self.runLength))
    }

    /// Slots that follow each other lie far apart.
    private func key(ofSlot slot: Int) -> [UInt8] {
        [prefix, 2] + Self.bytes(of: Self.mixed(UInt64(slot)))
    }

    /// `nil` for a delete. Few values are so large that they take a frame of their own.
    private func value(of operation: Int) -> [UInt8]? {
        let word = Self.mixed(UInt64(operation * Self.writerCount + writer))
        guard word % 10 != 0 else { return nil }
        let size = word >> 8 % 400 == 0 ? 70_000 : Int(word >> 20 % 600)
        return (0..<size).map { index in
            // Half of it shrinks in compression.
            index % 16 < 8 ? UInt8(truncatingIfNeeded: word >> UInt64(index % 8 * 8)) : 0x61
        }
    }

    private static func bytes(of number: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
    }

    /// A 64-bit mix of a number (the finalizer of SplitMix64).
    private static func mixed(_ number: UInt64) -> UInt64 {
        var word = number &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
