import Glibc
import StorageEngine
import StorageEngineTestSupport

/// Judges a store after a crash, without changing it: it opens, holds a prefix of whole batches,
/// and every batch whose acknowledgement covers the crash.
///
/// What was on disk before goes from check to check in a file, the floor.
struct CrashCheck {
    let path: String
    /// What the writer printed.
    let acksPath: String
    /// The last sequence that must be there; replaced by this check. Absent when there is none yet.
    let floorPath: String
    /// The weakest ack point that survives: `.disk` for a power cut, `.wal` for a killed process.
    let point: AckPoint

    /// An acknowledged batch.
    private struct Ack {
        let writer, batch: Int
        let sequence: UInt64
        let point: AckPoint
    }

    func run() throws {
        let old = try Self.text(of: floorPath)
        var floor = UInt64(old.filter(\.isNumber)) ?? 0
        var acks: [Ack] = []
        for line in try Self.text(of: acksPath).split(separator: "\n") {
            let words = line.split(separator: " ")
            switch words.first {
            case "open": floor = max(floor, UInt64(words[1]) ?? 0)
            case "ack": acks.append(try Self.ack(words))
            case "failed": try Self.checkFailure(words)
            default: throw SimulationFailure("the writer printed '\(line)'")
            }
        }
        for ack in acks where ack.point >= point { floor = max(floor, ack.sequence) }
        let found = try judge(acks, floor: floor)
        try Self.write("\(floor)\n", to: floorPath)
        print(found)
    }

    /// The floor after this check, and what was found, as words for the script.
    private func judge(_ acks: [Ack], floor: UInt64) throws -> String {
        var options = CrashWorkload.options
        options.readOnly = true
        let engine: Engine
        do throws(EngineError) {
            engine = try Engine.open(at: path, options: options)
        } catch {
            guard error.code == .notAStore, floor == 0 else { throw error }
            // Cut while the store was made, before anything was acknowledged.
            return "sequence 0 acks \(acks.count) torn 0 lost 0 orphans 0"
        }
        let last = engine.lastSequence
        guard last >= floor else {
            throw SimulationFailure("\(floor) was acknowledged, the store ends at \(last)")
        }
        let snapshot = try engine.makeSnapshot()
        let counts = try (0..<CrashWorkload.writerCount).map { writer in
            try CrashWorkload(writer: writer).count(in: snapshot)
        }
        for ack in acks where (ack.sequence <= last) != (ack.batch <= counts[ack.writer]) {
            throw SimulationFailure(
                "batch \(ack.batch) of writer \(ack.writer) has sequence \(ack.sequence); the "
                    + "store ends at \(last) and has \(counts[ack.writer]) batches of the writer"
            )
        }
        try compare(snapshot, counts)
        _ = try engine.verify()
        let torn = engine.recovery.tornBytes
        let lost = acks.count { $0.sequence > last }
        let orphans = try engine.space().deadBytes > 0 ? 1 : 0
        try engine.close()
        return "sequence \(last) acks \(acks.count) torn \(torn) lost \(lost) orphans \(orphans)"
    }

    private func compare(_ snapshot: Snapshot, _ counts: [Int]) throws {
        var cursor = try snapshot.cursor()
        for (writer, count) in counts.enumerated() {
            let expected = CrashWorkload(writer: writer).state(after: count)
                .sorted { $0.key.lexicographicallyPrecedes($1.key) }
            for (index, entry) in expected.enumerated() {
                guard try cursor.next(), cursor.key.equals(entry.key),
                    cursor.value.equals(entry.value)
                else {
                    throw SimulationFailure(
                        "entry \(index) of writer \(writer) is not that of \(count) batches"
                    )
                }
            }
        }
        guard try !cursor.next() else { throw SimulationFailure("the store holds a key too many") }
    }

    // MARK: - Lines

    private static func ack(_ words: [Substring]) throws -> Ack {
        guard words.count == 5, let writer = Int(words[1]), let batch = Int(words[2]),
            let sequence = UInt64(words[3]),
            let point = AckPoint.allCases.first(where: { "\($0)" == words[4] })
        else { throw SimulationFailure("the writer printed \(words)") }
        return Ack(writer: writer, batch: batch, sequence: sequence, point: point)
    }

    /// A disk that is gone may end a writer; nothing else may.
    private static func checkFailure(_ words: [Substring]) throws {
        let allowed: [EngineError.Code] = [.io, .indeterminate, .poisoned]
        guard words.count == 3, allowed.contains(where: { "\($0)" == words[2] }) else {
            throw SimulationFailure("a writer ended with \(words)")
        }
    }

    // MARK: - Files

    /// What a file holds; nothing when it is absent.
    private static func text(of path: String) throws -> String {
        guard let file = fopen(path, "r") else {
            guard errno == ENOENT else { throw SimulationFailure("opening \(path): \(errno)") }
            return ""
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = fread(&part, 1, part.count, file), count > 0 {
            bytes += part[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func write(_ text: String, to path: String) throws {
        guard let file = fopen(path, "w") else {
            throw SimulationFailure("writing \(path): \(errno)")
        }
        defer { fclose(file) }
        fputs(text, file)
    }
}
