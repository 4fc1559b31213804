/// Writes keys into a buffer that is used again and again: zero-padded decimal numbers.
struct KeyMaker: Sendable {
    /// The key made last.
    private(set) var bytes: [UInt8]
    private let keyCount: UInt64
    /// How many digits can differ from zero.
    private let digitCount: Int
    private let end: Int
    private var following: UInt64 = 0
    private var random: SplitMix64

    /// A suffix follows the number; no key with one was ever written.
    init(size: Int, count keyCount: Int, random: SplitMix64, suffix: [UInt8] = []) {
        bytes = [UInt8](repeating: UInt8(ascii: "0"), count: size) + suffix
        self.keyCount = UInt64(keyCount)
        digitCount = String(keyCount - 1).utf8.count
        end = size
        self.random = random
    }

    /// Makes the keys one behind the other, and begins again after the last.
    mutating func makeNext() {
        write(following)
        following = following + 1 == keyCount ? 0 : following + 1
    }

    mutating func makeRandom() { write(random.next(below: keyCount)) }

    private mutating func write(_ number: UInt64) {
        var rest = number
        let (end, count) = (end, digitCount)
        var span = bytes.mutableSpan
        for place in 1...count {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            span[end - place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
    }
}
