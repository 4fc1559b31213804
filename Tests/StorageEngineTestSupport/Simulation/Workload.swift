import StorageEngine

/// The options and habits of one run, all drawn from its seed.
package struct Workload: Sendable {
    var options: Engine.Options
    let profile: SimulatedProfile
    /// All keys, in order.
    let keys: [[UInt8]]
    let valueSizeMax: Int
    let batchSizeMax: Int
    let rangeDeletePercent: Int
    /// How often each ack point is chosen: memory, wal, disk.
    let ackWeights: [Int]
    /// The most writes that wait, and units that are in flight.
    let writesInFlight: Int
    /// How many steps of ten thousand end the engine, by a crash or a close.
    let endWeight: Int
    /// How many steps of ten thousand plan a fault; 0 in most runs.
    var faultWeight: Int
    /// Whether the only fault is the run's own.
    var isSwept = false
    /// Whether a failed sync brings the old bytes back.
    let failedSyncReverts: Bool

    package init(using generator: inout SeededGenerator) {
        var options = Engine.Options()
        options.logFileSize = [16_384, 20_000, 40_000].randomElement(using: &generator) ?? 16_384
        options.memoryWindow = [4096, 6000, 20_000].randomElement(using: &generator) ?? 4096
        // Often so small that flushes and compactions happen all the time.
        options.writeBufferSize =
            [16_384, 16_384, 40_000, 1 << 20].randomElement(using: &generator) ?? 16_384
        options.cacheSize = [0, 20_000, 1 << 20].randomElement(using: &generator) ?? 0
        options.compaction.level0Count = Int.random(in: 1...4, using: &generator)
        options.compaction.levelBaseSize = .random(in: 4000...40_000, using: &generator)
        options.compaction.levelMultiplier = .random(in: 2...10, using: &generator)
        options.compaction.segmentSize = .random(in: 2000...20_000, using: &generator)
        // Mostly nothing is kept for consumers, so that log files are removed all the time.
        options.retainedLogSize = [0, 0, 30_000].randomElement(using: &generator) ?? 0
        self.options = options
        profile = Bool.random(using: &generator) ? .strict : .ext4
        let keyCount = [3, 20, 200].randomElement(using: &generator) ?? 20
        keys = Self.keys(count: keyCount, shape: .random(in: 0..<3, using: &generator))
        valueSizeMax = [8, 200, 1500].randomElement(using: &generator) ?? 100
        batchSizeMax = [1, 4, 20].randomElement(using: &generator) ?? 4
        rangeDeletePercent = [0, 2, 20].randomElement(using: &generator) ?? 2
        ackWeights = (0..<3).map { _ in Int.random(in: 0...4, using: &generator) }
        writesInFlight = Int.random(in: 1...8, using: &generator)
        endWeight = [3, 10, 30].randomElement(using: &generator) ?? 10
        faultWeight = [0, 0, 30].randomElement(using: &generator) ?? 0
        failedSyncReverts = Bool.random(using: &generator)
    }

    private static func keys(count: Int, shape: Int) -> [[UInt8]] {
        let keys = (0..<count).map { number -> [UInt8] in
            switch shape {
            case 0: Array("key\(number)".utf8)
            // Prefixes of each other, the empty key among them.
            case 1: [UInt8](repeating: UInt8(number % 3), count: number)
            default:
                (0..<number % 5).map { UInt8(truncatingIfNeeded: number &* 151 &+ $0 &* 255) }
            }
        }
        return Set(keys).sorted { $0.lexicographicallyPrecedes($1) }
    }

    func ack(using generator: inout SeededGenerator) -> AckPoint {
        let total = ackWeights.reduce(0, +)
        guard total > 0 else { return .wal }
        var draw = Int.random(in: 0..<total, using: &generator)
        for (point, weight) in zip(AckPoint.allCases, ackWeights) {
            if draw < weight { return point }
            draw -= weight
        }
        return .disk
    }

    /// The changes of a write.
    func changes(of write: Int, using generator: inout SeededGenerator) -> [ModelStore.Change] {
        let count = Int.random(in: 1...batchSizeMax, using: &generator)
        return (0..<count).map { _ in
            let key = keys[Int.random(in: 0..<keys.count, using: &generator)]
            switch Int.random(in: 0..<100, using: &generator) {
            case 0..<20: return .delete(key: key)
            case 20..<20 + rangeDeletePercent:
                return .deleteRange(range(from: key, using: &generator))
            default:
                var value = value(using: &generator)
                ValueStamp.stamp(&value, write: write, key: key)
                return .put(key: key, value: value)
            }
        }
    }

    /// A range that is not empty: its batch would have no sequence otherwise.
    private func range(
        from key: [UInt8],
        using generator: inout SeededGenerator
    ) -> KeyRange {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: return KeyRange(from: key)
        case 1: return KeyRange(prefix: key)
        default:
            let other = keys[Int.random(in: 0..<keys.count, using: &generator)]
            let isOrdered = key.lexicographicallyPrecedes(other)
            let range = KeyRange(from: isOrdered ? key : other, to: isOrdered ? other : key)
            return range.isEmpty ? KeyRange(from: key, to: key + [0]) : range
        }
    }

    private func value(using generator: inout SeededGenerator) -> [UInt8] {
        // Now and then a value that makes a frame of its own.
        let isLarge = Int.random(in: 0..<200, using: &generator) == 0
        let size = isLarge ? 70_000 : Int.random(in: 0...valueSizeMax, using: &generator)
        let first = UInt8.random(in: 0...255, using: &generator)
        let step = UInt8.random(in: 0...3, using: &generator)
        return (0..<size).map { first &+ UInt8(truncatingIfNeeded: $0) &* step }
    }
}
