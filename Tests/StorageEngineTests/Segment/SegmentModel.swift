import StorageEngineTestSupport

@testable import StorageEngine

/// A version, as tests make it.
struct ModelEntry: Hashable, Comparable, CustomStringConvertible {
    var key: [UInt8]
    var sequence: UInt64
    var flags: UInt8 = 0
    var value: [UInt8] = []

    static func < (left: ModelEntry, right: ModelEntry) -> Bool {
        left.key == right.key
            ? left.sequence > right.sequence : left.key.lexicographicallyPrecedes(right.key)
    }

    var description: String { "\(key) @\(sequence) \(flags) (\(value.count) bytes)" }

    func withEntry<R>(_ body: (SegmentEntry) throws -> R) rethrows -> R {
        try key.withUnsafeBytes { key in
            try value.withUnsafeBytes { value in
                try body(SegmentEntry(key: key, sequence: sequence, flags: flags, value: value))
            }
        }
    }
}

/// Segments on a simulated disk, and what is in them.
struct SegmentModel {
    static let historyID = UniqueID(high: 1, low: 2)

    let fileSystem = SimulatedFileSystem()
    let directory: StoreDirectory
    let cache: BlockCache?

    init(cacheBudget: Int? = 1 << 20) throws {
        directory = try StoreDirectory.make(path: "db", in: fileSystem)
        cache = cacheBudget.map(BlockCache.init)
    }

    /// Writes sorted entries as one segment and opens it.
    func write(
        _ entries: [ModelEntry],
        number: UInt64 = 1,
        partitionKeyCount: Int = SegmentFormat.partitionKeyCount
    ) throws -> Segment {
        var info: SegmentInfo?
        let file = try directory.durableCreate(.segment(number)) { file throws(EngineError) in
            var writer = SegmentWriter(
                file: file,
                number: number,
                historyID: Self.historyID,
                partitionKeyCount: partitionKeyCount
            )
            for entry in entries {
                let result = entry.withEntry { entry in
                    Result { () throws(EngineError) in try writer.add(entry) }
                }
                try result.get()
            }
            info = try writer.finish()
        }
        guard let info else { throw SimulationFailure("no segment was written") }
        return try Segment(info, file: file, historyID: Self.historyID, cache: cache)
    }

    /// Sorted entries with few keys or many, short or long, some of them in many versions.
    static func entries(count: Int, using generator: inout SeededGenerator) -> [ModelEntry] {
        let alphabet = UInt8.random(in: 1...4, using: &generator)
        let lengths = Bool.random(using: &generator) ? 0...6 : 0...300
        var found: Set<ModelEntry> = []
        var places: Set<ModelEntry> = []
        for _ in 0..<count {
            let length = Int.random(in: lengths, using: &generator)
            let key = (0..<length).map { _ in
                UInt8.random(in: 0...alphabet, using: &generator) &* 85
            }
            let sequence =
                Bool.random(using: &generator)
                ? UInt64.random(in: 1...200, using: &generator)
                : UInt64.random(in: 1...(.max), using: &generator)
            guard places.insert(ModelEntry(key: key, sequence: sequence)).inserted else { continue }
            let isTombstone = Int.random(in: 0..<5, using: &generator) == 0
            let isLarge = Int.random(in: 0..<50, using: &generator) == 0
            let size =
                isTombstone ? 0 : Int.random(in: 0...(isLarge ? 9000 : 150), using: &generator)
            let byte = UInt8.random(in: 0...255, using: &generator)
            found.insert(
                ModelEntry(
                    key: key,
                    sequence: sequence,
                    flags: isTombstone ? VersionFlags.tombstone : 0,
                    value: (0..<size).map { byte &+ UInt8(truncatingIfNeeded: $0 % 7) }
                )
            )
        }
        return found.sorted()
    }
}

extension SegmentCursor {
    /// Where the cursor stands.
    var found: ModelEntry? {
        guard isOnEntry else { return nil }
        return ModelEntry(
            key: Array(key),
            sequence: sequence,
            flags: isTombstone ? VersionFlags.tombstone : 0,
            value: Array(value)
        )
    }
}
