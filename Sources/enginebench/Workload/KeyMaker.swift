/// Writes keys into a buffer that is used again and again: zero-padded decimal numbers.
struct KeyMaker: Sendable {
    /// The key made last.
    private(set) var bytes: [UInt8]
    private let keyCount: UInt64
    /// How many digits can differ from zero.
    private var digitCount: Int
    /// The first number with more digits.
    private var digitEnd: UInt64
    private let end: Int
    private var following: UInt64 = 0
    private var random: SplitMix64

    /// A suffix follows the number; no key with one was ever written.
    init(size: Int, count keyCount: Int, random: SplitMix64, suffix: [UInt8] = []) {
        bytes = [UInt8](repeating: UInt8(ascii: "0"), count: size) + suffix
        self.keyCount = UInt64(keyCount)
        digitCount = String(keyCount - 1).utf8.count
        digitEnd = (0..<digitCount).reduce(1) { power, _ in power * 10 }
        end = size
        self.random = random
    }

    /// Makes the keys one behind the other, and begins again after the last.
    mutating func makeNext() {
        write(following)
        following = following + 1 == keyCount ? 0 : following + 1
    }

    mutating func makeRandom() { write(random.next(below: keyCount)) }

    /// Makes the key of a number, which may be one behind the last.
    mutating func make(_ number: UInt64) {
        while number >= digitEnd {
            digitCount += 1
            digitEnd *= 10
        }
        write(number)
    }

    /// The number that a key was made of; `nil` when it is no key of this kind.
    static func number(of key: Span<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for index in key.indices {
            let byte = key[index]
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            guard number < UInt64.max / 10 else { return nil }
            number = number * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        return number
    }

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
