import StorageEngine
import StorageEngineTestSupport

/// The writes of a run: each is known by its number alone, which is its sequence.
///
/// A write has one operation, every sixteenth has three. The first letter of a key says which one
/// of the write it belongs to, so that keys of a batch differ.
struct FeedHistory: Sendable {
    static let keyCount: UInt64 = 1_000_000
    private static let letters = Array("abc".utf8)

    /// A 64-bit mix of a number (the finalizer of SplitMix64).
    private static func mixed(_ number: UInt64) -> UInt64 {
        var word = number &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    static func operationCount(_ number: UInt64) -> Int { number % 16 == 0 ? 3 : 1 }

    static func keyNumber(_ number: UInt64, _ index: Int) -> UInt64 {
        mixed(number &* 4 &+ UInt64(index)) % keyCount
    }

    /// A letter and six digits.
    static func fillKey(_ number: UInt64, _ index: Int, _ key: inout [UInt8]) {
        key.removeAll(keepingCapacity: true)
        key.append(letters[index])
        var rest = keyNumber(number, index)
        var power: UInt64 = 100_000
        while power > 0 {
            key.append(UInt8(ascii: "0") + UInt8(rest / power))
            rest %= power
            power /= 10
        }
    }

    /// Sixteen bytes that do not shrink, and up to 63 that do.
    static func fillValue(_ number: UInt64, _ index: Int, _ value: inout [UInt8]) {
        value.removeAll(keepingCapacity: true)
        var word = mixed(number ^ (UInt64(index) << 60))
        let size = Int(word % 64)
        for _ in 0..<2 {
            withUnsafeBytes(of: word) { value.append(contentsOf: $0) }
            word = mixed(word)
        }
        for _ in 0..<size { value.append(0x61) }
    }

    static func fill(_ number: UInt64, _ batch: inout WriteBatch) throws {
        batch.removeAll()
        var (key, value): ([UInt8], [UInt8]) = ([], [])
        for index in 0..<operationCount(number) {
            fillKey(number, index, &key)
            fillValue(number, index, &value)
            try batch.put(value, for: key)
        }
    }

    /// The keys that a consumer with a filter wants: half of those with the first letter.
    static let filter = KeyRange(from: Array("a5".utf8), to: Array("b".utf8))

    static func isWanted(_ number: UInt64) -> Bool { keyNumber(number, 0) >= keyCount / 2 }

    /// Compares a snapshot with the writes up to a number, and returns how many keys it has.
    static func check(_ snapshot: Snapshot, through end: UInt64) throws -> Int {
        var last = [UInt32](repeating: 0, count: Int(keyCount) * 3)
        for number in 1...max(1, end) where number <= end {
            for index in 0..<operationCount(number) {
                let key = Int(keyNumber(number, index)) + index * Int(keyCount)
                last[key] = UInt32(number)
            }
        }
        var (key, value): ([UInt8], [UInt8]) = ([], [])
        var cursor = try snapshot.cursor()
        var count = 0
        for (place, number) in last.enumerated() where number > 0 {
            fillKey(UInt64(number), place / Int(keyCount), &key)
            fillValue(UInt64(number), place / Int(keyCount), &value)
            guard try cursor.next(), cursor.key.isEqual(to: key), cursor.value.isEqual(to: value)
            else { throw SimulationFailure("the snapshot at \(end) is wrong at write \(number)") }
            count += 1
        }
        guard try !cursor.next() else {
            throw SimulationFailure("the snapshot at \(end) has a key too many")
        }
        return count
    }
}

extension Span<UInt8> {
    func isEqual(to bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        for index in indices where self[index] != bytes[index] { return false }
        return true
    }
}

/// What a consumer has got so far: it refuses what is not the very next write, byte by byte.
struct FeedCheck {
    /// The last write that it has seen, or passed over.
    private(set) var position: Position
    private(set) var records: UInt64 = 0
    private let isFiltered: Bool
    private var key: [UInt8] = []
    private var value: [UInt8] = []

    init(after position: Position, isFiltered: Bool = false) {
        self.position = position
        self.isFiltered = isFiltered
    }

    mutating func take(_ record: ChangeRecord) throws {
        let number = record.position.sequence
        guard record.previousSequence == number - 1 else {
            throw SimulationFailure("\(number) follows \(record.previousSequence)")
        }
        try checkMissing(before: number)
        try checkOperations(of: record, number)
        position = record.position
        records += 1
    }

    /// Takes in that the consumer has seen everything up to a position.
    mutating func pass(to end: Position) throws {
        guard end.sequence > position.sequence else { return }
        try checkMissing(before: end.sequence + 1)
        position = end
    }

    private func checkMissing(before number: UInt64) throws {
        let last = position.sequence
        let isNext =
            isFiltered
            ? number > last && !(last + 1..<number).contains(where: FeedHistory.isWanted)
            : number == last + 1
        guard isNext else { throw SimulationFailure("\(number) came after \(last)") }
    }

    private mutating func checkOperations(of record: ChangeRecord, _ number: UInt64) throws {
        // Taken out meanwhile, so that they are not copied.
        var (key, value): ([UInt8], [UInt8]) = ([], [])
        swap(&key, &self.key)
        swap(&value, &self.value)
        defer {
            swap(&key, &self.key)
            swap(&value, &self.value)
        }
        var (count, isRight) = (0, true)
        record.forEachOperation { kind, foundKey, foundValue in
            count += 1
            let index = foundKey.isEmpty ? 3 : Int(foundKey[0]) - 0x61
            guard kind == .put, (0..<3).contains(index) else {
                isRight = false
                return
            }
            FeedHistory.fillKey(number, index, &key)
            FeedHistory.fillValue(number, index, &value)
            isRight = isRight && foundKey.isEqual(to: key) && foundValue.isEqual(to: value)
        }
        let expected = isFiltered ? 1 : FeedHistory.operationCount(number)
        guard isRight, count == expected else {
            throw SimulationFailure("write \(number) has other operations")
        }
    }
}
