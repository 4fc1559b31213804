internal import Glibc

/// Keys in the order in which they are used, their bytes one behind the other.
struct KeySet {
    private var bytes: [UInt8] = []
    private var ends: [Int] = [0]

    var count: Int { ends.count - 1 }
    var byteCount: Int { bytes.count }

    mutating func append(_ key: some Sequence<UInt8>) {
        bytes.append(contentsOf: key)
        ends.append(bytes.count)
    }

    /// Calls a closure with each key.
    @inline(__always)
    func forEach(_ body: (UnsafeRawBufferPointer) -> Void) {
        bytes.withUnsafeBytes { bytes in
            for index in 0..<count {
                body(UnsafeRawBufferPointer(rebasing: bytes[ends[index]..<ends[index + 1]]))
            }
        }
    }

    /// The same keys in random order, each with a suffix.
    func shuffled(suffix: String = "", _ generator: inout Xorshift) -> KeySet {
        var shuffled = KeySet()
        for index in (0..<count).shuffled(using: &generator) {
            shuffled.append(Array(bytes[ends[index]..<ends[index + 1]]) + Array(suffix.utf8))
        }
        return shuffled
    }

    /// 0, 1, 2, … with 16 decimal digits.
    static func decimal(_ count: Int) -> KeySet {
        var keys = KeySet()
        for number in 0..<count {
            let digits = Array(String(number).utf8)
            keys.append([UInt8](repeating: 48, count: max(0, 16 - digits.count)) + digits)
        }
        return keys
    }

    /// Random keys of 16 bytes.
    static func binary(_ count: Int, _ generator: inout Xorshift) -> KeySet {
        var keys = KeySet()
        for _ in 0..<count {
            let number = (generator.next(), generator.next())
            withUnsafeBytes(of: number) { keys.append($0) }
        }
        return keys
    }

    /// The lines of a file, `nil` when it cannot be read.
    static func lines(of path: String, count: Int) -> KeySet? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var keys = KeySet()
        var line = [CChar](repeating: 0, count: 4096)
        while keys.count < count, fgets(&line, 4096, file) != nil {
            let key = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
            keys.append(key)
        }
        return keys
    }
}

/// Random numbers from a seed.
struct Xorshift: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_f491_4f6c_dd1d
    }
}
