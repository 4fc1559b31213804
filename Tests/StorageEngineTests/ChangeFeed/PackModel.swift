import StorageEngineTestSupport

@testable import StorageEngine

/// A record as a test knows it.
struct TestRecord: Equatable {
    let head: RecordHead
    let operations: [UInt8]
}

/// A history that packs are made of.
struct PackModel {
    static let historyID = UniqueID(high: 0x0102_0304_0506_0708, low: 0x1112_1314_1516_1718)
    static let epoch = Epoch(number: 3, starter: 0xaabb_ccdd_eeff_0011)

    /// Behind sequence 5, as the first of an epoch.
    var records: [TestRecord] = []
    let startsEpoch = true
    static let sequenceBefore: UInt64 = 5
    static let hashBefore: UInt64 = 0x5a5a

    init(_ records: [TestRecord]) { self.records = records }

    /// Random records, some with origins, gaps in their sequences and equal stamps.
    init(seed: UInt64, count: Int, valueSizeMax: Int) throws {
        var generator = SeededGenerator(seed: seed)
        var sequence = Self.sequenceBefore
        var stamp: UInt64 = 1_700_000_000_000 << 16
        for number in 0..<count {
            let previous = sequence
            sequence += UInt64.random(in: 1...3, using: &generator)
            stamp += UInt64.random(in: 0...(1 << 20), using: &generator)
            var batch = WriteBatch()
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let key = "key\(UInt64.random(in: 0..<50, using: &generator))"
                let size = Int.random(in: 0...valueSizeMax, using: &generator)
                let filler = UInt8.random(in: 0...255, using: &generator)
                let isRandom = Bool.random(using: &generator)
                let value = (0..<size).map { _ in
                    isRandom ? UInt8.random(in: 0...255, using: &generator) : filler
                }
                switch Int.random(in: 0..<6, using: &generator) {
                case 0: try batch.delete(key)
                case 1: try batch.deleteRange(KeyRange(prefix: Array(key.utf8)))
                default: try batch.put(value, for: key)
                }
            }
            let origin = RecordOrigin(
                historyID: UniqueID(high: 9, low: UInt64(number)),
                epoch: Epoch(number: 1, starter: 2),
                sequence: sequence,
                previousSequence: previous
            )
            let head = RecordHead(
                kind: number % 7 == 6 ? .noOp : .data,
                sequence: sequence,
                previousSequence: previous,
                stamp: stamp,
                origin: number % 5 == 4 ? origin : nil
            )
            records.append(TestRecord(head: head, operations: batch.withOperations { Array($0) }))
        }
    }

    /// The packs of all records.
    func packs(sizeMax: Int = PackFormat.sizeMax) -> [[UInt8]] {
        var encoder = PackEncoder(historyID: Self.historyID, sizeMax: sizeMax)
        var packs: [[UInt8]] = []
        encoder.begin(
            Self.epoch,
            startsEpoch: startsEpoch,
            after: Self.sequenceBefore,
            logHash: Self.hashBefore
        )
        for record in records {
            record.operations.withUnsafeBytes { operations in
                encoder.add(record.head, operations) { packs.append(Array($0)) }
            }
        }
        encoder.finish { packs.append(Array($0)) }
        return packs
    }

    /// The log hash with the last record.
    var hashAfter: UInt64 {
        var hash = LogHash.begin(Self.epoch, after: Self.hashBefore)
        for record in records {
            let digest = record.operations.withUnsafeBytes { LogHash.digest($0) }
            hash = LogHash.next(hash, record.head, digest: digest)
        }
        return hash
    }
}

/// What a decoder hands on.
///
/// Thread safety: none.
final class PackSink {
    private var decoder: PackDecoder
    private(set) var records: [TestRecord] = []
    private(set) var headers: [PackHeader] = []
    private(set) var hashes: [UInt64] = []

    init(sizeMax: Int = PackFormat.sizeMax) { decoder = PackDecoder(sizeMax: sizeMax) }

    var isWaiting: Bool { decoder.isWaiting }

    func take(_ pack: [UInt8]) throws(EngineError) {
        try pack.span.withUnsafeBytes { bytes throws(EngineError) in
            try decoder.decode(bytes) { found throws(EngineError) in
                headers.append(found.header)
                found.forEach { record in
                    let operations = Array(record.operations)
                    records.append(TestRecord(head: record.head, operations: operations))
                    hashes.append(record.logHash)
                }
            }
        }
    }
}
