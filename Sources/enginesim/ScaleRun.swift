import Glibc
internal import Logging
import StorageEngine
import StorageEngineTestSupport

/// Random overwrites of a store that is larger than its memory, on the real disk and with the
/// engine's own threads: what is there in the end is compared with what the same numbers say it
/// must be. Space, memory and write amplification are printed, and bounded.
struct ScaleRun {
    /// How many puts, of keys drawn from as many.
    let count: Int
    let path: String

    private static let keySize = 16
    private static let valueSize = 100
    /// What memory may exceed its budget by: a tenth, and this.
    private static let memorySlack = 32 << 20
    /// Bytes on disk for each byte of live keys and values, after a compaction.
    private static let spaceAmplificationMax = 1.15

    func run() throws {
        var options = Engine.Options()
        options.logger = Logger(label: "scale")
        let engine = try Engine.open(at: path, options: options)
        let memoryAtOpen = Self.memoryPeak()
        let held = try fill(engine)
        note("memory after the puts: \((Self.memoryPeak() - memoryAtOpen) >> 20) MiB more")
        try readRandomly(engine)
        try seekRandomly(engine)
        var cursor = try engine.makeSnapshot().cursor()
        var keys = 0
        while try cursor.next() { keys += 1 }
        note("\(keys) keys")
        // Three indexes, and the cache, which holds indexes and filters of segments, too.
        let budget = 3 * options.writeBufferSize + options.cacheSize
        try checkMemory(Self.memoryPeak() - memoryAtOpen, budget: budget)
        try scan(engine.makeSnapshot(), through: count)
        try compact(engine, consume held, keys: keys)
        try engine.close()
        try reopen(options)
    }

    /// Makes the puts, and returns a snapshot from half the way.
    private func fill(_ engine: Engine) throws -> Snapshot {
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
        try engine.waitForCompactions()
        let metrics = engine.metrics
        let user = Double(count * (Self.keySize + Self.valueSize))
        let segments = metrics.levelWrittenBytes.map { ratio(Double($0), user) }
        note(
            "bytes written for each byte of keys and values: log "
                + ratio(Double(metrics.walBytesStored), user)
                + ", levels \(segments.joined(separator: " ")); in all "
                + ratio(
                    Double(metrics.walBytesStored) + Double(metrics.levelWrittenBytes.reduce(0, +)),
                    user
                )
        )
        note("levels: \(metrics.levelSegments), \(metrics.levelBytes)")
        guard let held else { throw SimulationFailure("there is no snapshot from half the way") }
        return held
    }

    private func checkMemory(_ used: Int, budget: Int) throws {
        let most = budget + budget / 10 + Self.memorySlack
        note("memory: \(used >> 20) MiB more at the peak than after opening, at most \(most >> 20)")
        guard used <= most else { throw SimulationFailure("more memory than there may be") }
    }

    /// Compacts with the snapshot and without it, and says what it costs.
    private func compact(_ engine: Engine, _ held: consuming Snapshot, keys: Int) throws {
        try engine.compact()
        try scan(held, through: count / 2 + 1)
        let before = try engine.space()
        _ = consume held
        try engine.compact()
        let raw = try scan(engine.makeSnapshot(), through: count)
        let space = try engine.space()
        note(
            "with the snapshot held: \(before.segmentBytes) bytes of segments, "
                + "\(before.deadVersions) of \(before.versions) versions for it alone"
        )
        // Log files that are kept for consumers of the change feed have a bound of their own.
        let disk = space.segmentBytes + space.unflushedLogBytes + space.deadBytes
        let amplification = Double(disk) / Double(raw)
        note(
            "raw \(raw), in segments \(space.segmentBytes), log \(space.logBytes): space "
                + "amplification \(ratio(Double(disk), Double(raw)))"
        )
        guard amplification <= Self.spaceAmplificationMax else {
            throw SimulationFailure("more space than there may be")
        }
        let entries = try engine.verify().segmentEntries
        guard entries == UInt64(keys) else {
            throw SimulationFailure("\(entries) versions are left of \(keys) keys")
        }
    }

    private func reopen(_ options: Engine.Options) throws {
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        let engine = try Engine.open(at: path, options: options)
        note("open after a clean close: \((time.monotonicNanoseconds - start) / 1000) µs")
        try scan(engine.makeSnapshot(), through: count)
        let report = try engine.verify()
        note("verified: \(report.segmentEntries) entries in \(report.segments) segments")
        try engine.close()
    }

    private func note(_ text: String) {
        print(text)
        fflush(nil)
    }

    private func ratio(_ left: Double, _ right: Double) -> String {
        let hundredths = Int((left / right * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}

// MARK: - Contents

extension ScaleRun {
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
        return [UInt8](repeating: UInt8(ascii: "0"), count: Self.keySize - digits.count) + digits
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
            size += Self.keySize + found.count
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

    /// Seeks keys that were put, each with a cursor of its own, and takes a step both ways.
    private func seekRandomly(_ engine: Engine) throws {
        for number in 0..<min(count, 200_000) {
            let put = Int(mixed(UInt64(number) ^ 0xdef) % UInt64(count))
            let sought = bytes(ofKey: key(of: put))
            var cursor = try engine.makeSnapshot().cursor()
            guard try cursor.seek(to: sought), cursor.key.equals(sought) else {
                throw SimulationFailure("the key of put \(put) was not found by a seek")
            }
            if try cursor.next() {
                let isBehind = cursor.key.withUnsafeBufferPointer {
                    sought.lexicographicallyPrecedes($0)
                }
                guard isBehind, try cursor.previous(), cursor.key.equals(sought) else {
                    throw SimulationFailure("the steps beside put \(put) are wrong")
                }
            }
        }
    }

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
