// The filter of a segment's partition: a Bloom filter whose bits for a key lie in one cache line
// (Putze, Sanders, Singler 2007), so that asking costs one wait for memory.
//
// line   = (upper half of the hash * lineCount) >> 32
// bits   = 6 times: the upper 9 bits of a 32-bit word that begins as the lower half of the hash,
//          mixed, and is multiplied by 0x9e3779b9 from probe to probe
//
// At 10 bits a key that takes an absent key for present about once in 110; see
// `SegmentTests`.

/// Collects the hashes of a partition's keys.
///
/// Thread safety: none.
struct FilterBuilder {
    private var hashes: [UInt64] = []
    private var last: UInt64?

    static let bitsPerKey = 10
    static let lineSize = 64
    static let probeCount = 6

    /// How many keys there are.
    var count: Int { hashes.count }

    /// Adds a key; neighbours that are the same count once.
    mutating func add(_ hash: UInt64) {
        guard hash != last else { return }
        last = hash
        hashes.append(hash)
    }

    /// Appends the payload, and begins a new filter.
    mutating func finish(_ output: inout ByteBuffer) {
        let bits = hashes.count * Self.bitsPerKey
        let lineCount = max(1, (bits + Self.lineSize * 8 - 1) / (Self.lineSize * 8))
        let start = output.count
        output.append(zeros: lineCount * Self.lineSize)
        let lines = output.base + start
        for hash in hashes {
            let line = lines + FilterProbe.line(hash, of: lineCount) * Self.lineSize
            var probe = FilterProbe(hash)
            for _ in 0..<Self.probeCount {
                let bit = probe.next()
                let byte = line.load(fromByteOffset: bit >> 3, as: UInt8.self) | 1 << UInt8(bit & 7)
                line.storeBytes(of: byte, toByteOffset: bit >> 3, as: UInt8.self)
            }
        }
        output.append(UInt32(lineCount))
        output.append(UInt32(Self.probeCount))
        hashes.removeAll(keepingCapacity: true)
        last = nil
    }
}

/// The bits of one key within its line.
struct FilterProbe {
    private var word: UInt32

    @inline(__always)
    init(_ hash: UInt64) {
        word = UInt32(truncatingIfNeeded: hash) &* 0x85eb_ca6b
        word ^= word >> 15
    }

    @inline(__always)
    mutating func next() -> Int {
        word = word &* 0x9e37_79b9
        return Int(word >> 23)
    }

    @inline(__always)
    static func line(_ hash: UInt64, of count: Int) -> Int {
        Int(((hash >> 32) &* UInt64(count)) >> 32)
    }
}

/// Says of a key that it is not in the partition, or that it may be.
///
/// Thread safety: immutable.
final class SegmentFilter: Block, @unchecked Sendable {
    private let lineCount: Int
    private let probeCount: Int

    /// `nil` when the bytes are no filter; the memory is the filter's in any case.
    init?(owningLines memory: UnsafeMutableRawBufferPointer) {
        let bytes = UnsafeRawBufferPointer(memory)
        let hasEnd = bytes.count >= 8
        lineCount = hasEnd ? Int(bytes.uint32(at: bytes.count - 8)) : 0
        probeCount = hasEnd ? Int(bytes.uint32(at: bytes.count - 4)) : 0
        super.init(owning: memory)
        guard lineCount >= 1, lineCount <= Int(Int32.max), (1...32).contains(probeCount),
            bytes.count == lineCount * FilterBuilder.lineSize + 8
        else { return nil }
    }

    func mayContain(_ hash: UInt64) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        let line = base + FilterProbe.line(hash, of: lineCount) * FilterBuilder.lineSize
        var probe = FilterProbe(hash)
        for _ in 0..<probeCount {
            let bit = probe.next()
            let byte = line.load(fromByteOffset: bit >> 3, as: UInt8.self)
            if byte & 1 << UInt8(bit & 7) == 0 { return false }
        }
        return true
    }
}
