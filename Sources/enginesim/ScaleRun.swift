import Glibc
internal import Logging
import StorageEngine
import StorageEngineTestSupport

/// Random overwrites of a store that is larger than its memory, on the real disk and with the
/// engine's own threads: what is there in the end is compared with what the same numbers say it
/// must be, and space, memory and write amplification are printed.
struct ScaleRun {
    /// How many puts, of keys drawn from as many.
    let count: Int
    let path: String

    private static let valueSize = 100

    /// The key of a put.
    private func key(of put: Int) -> Int {
        Int(mixed(UInt64(put)) % UInt64(count))
    }

    /// A 64-bit mix of a number (the finalizer of SplitMix64).
    private func mixed(_ number: UInt64) -> UInt64 {
        var word = number &+ 0x9e37_79b9_7f4a_7c15
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    /// A key as 16 digits.
    private func bytes(ofKey key: Int) -> [UInt8] {
        let digits = Array(String(key).utf8)
        return [UInt8](repeating: UInt8(ascii: "0"), count: 16 - digits.count) + digits
    }

    /// The value of a put: half of it random, so that it shrinks to about half.
    private func value(of put: Int) -> [UInt8] {
        var value = [UInt8](repeating: 0x61, count: Self.valueSize)
        var word = mixed(UInt64(put) ^ 0x5555)
        for index in 0..<Self.valueSize / 2 {
            if index % 8 == 0 { word = mixed(word) }
            value[index] = UInt8(truncatingIfNeeded: word >> (8 * UInt64(index % 8)))
        }
        return value
    }

    func run() throws {
        var options = Engine.Options()
        options.logger = Logger(label: "scale")
        let engine = try Engine.open(at: path, options: options)
        let memoryAtOpen = Self.memoryPeak()
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        var slowest: UInt64 = 0
        var held: Snapshot?
        for put in 0..<count {
            let begin = time.monotonicNanoseconds
            try engine.put(value(of: put), for: bytes(ofKey: key(of: put)), ack: .wal)
            slowest = max(slowest, time.monotonicNanoseconds - begin)
            if put == count / 2 { held = try engine.makeSnapshot() }
        }
        let seconds = Double(time.monotonicNanoseconds - start) / 1e9
        note("\(count) puts in \(seconds) s, the slowest took \(slowest / 1_000_000) ms")
        try readRandomly(engine)
        var cursor = try engine.makeSnapshot().cursor()
        var keys = 0
        while try cursor.next() { keys += 1 }
        let memory = Self.memoryPeak() - memoryAtOpen
        note("\(keys) keys")
        note("memory: \(memory >> 20) MiB more at the peak than after opening")
        note("write amplification: \(engine.metrics.writeAmplification ?? 0)")
        try scan(engine.makeSnapshot(), through: count)
        if let held { try scan(held, through: count / 2 + 1) }
        held = nil
        try engine.compact()
        let raw = try scan(engine.makeSnapshot(), through: count)
        let space = try engine.space()
        let live = engine.metrics
        note("levels: \(live.levelSegments), \(live.levelBytes)")
        note("raw \(raw), in segments \(space.segmentBytes), log \(space.logBytes)")
        try engine.close()
        let reopenStart = time.monotonicNanoseconds
        let again = try Engine.open(at: path, options: options)
        let reopenTime = (time.monotonicNanoseconds - reopenStart) / 1000
        note("open after a clean close: \(reopenTime) µs")
        try scan(again.makeSnapshot(), through: count)
        let report = try again.verify()
        note("verified: \(report.segmentEntries) entries in \(report.segments) segments")
        try again.close()
    }

    /// Compares a snapshot with the first puts, and returns the bytes of its keys and values.
    @discardableResult
    private func scan(_ snapshot: Snapshot, through end: Int) throws -> Int {
        // The put that each key holds, one more than its number; 0 for none.
        var last = [UInt32](repeating: 0, count: count)
        for put in 0..<end { last[key(of: put)] = UInt32(put + 1) }
        var cursor = try snapshot.cursor()
        var size = 0
        for key in 0..<count where last[key] != 0 {
            guard try cursor.next() else { throw SimulationFailure("key \(key) is missing") }
            let expected = value(of: Int(last[key]) - 1)
            let found = cursor.value.withUnsafeBufferPointer(Array.init)
            guard cursor.key.withUnsafeBufferPointer(Array.init) == bytes(ofKey: key),
                found == expected
            else { throw SimulationFailure("key \(key) is wrong") }
            size += 16 + found.count
        }
        guard try !cursor.next() else { throw SimulationFailure("a key too many") }
        return size
    }

    /// Looks up keys that were put, and some that never were.
    private func readRandomly(_ engine: Engine) throws {
        for number in 0..<min(count, 1_000_000) {
            let put = Int(mixed(UInt64(number) ^ 0xabc) % UInt64(count))
            guard try engine.value(for: bytes(ofKey: key(of: put))) != nil else {
                throw SimulationFailure("the key of put \(put) is missing")
            }
            guard try engine.value(for: bytes(ofKey: count + number)) == nil else {
                throw SimulationFailure("key \(count + number) was never put")
            }
        }
    }

    private func note(_ text: String) { print(text) }

    /// The most memory that the process ever had, in bytes (`VmHWM`).
    private static func memoryPeak() -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = line.withUnsafeBufferPointer { buffer in
                String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
            }
            guard text.hasPrefix("VmHWM:") else { continue }
            return (Int(text.filter(\.isNumber)) ?? 0) << 10
        }
        return 0
    }
}
