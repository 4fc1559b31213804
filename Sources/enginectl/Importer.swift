internal import Glibc
internal import StorageEngine
internal import Synchronization
internal import ToolSupport

/// Writes records and says how many were acknowledged.
final class Importer {
    private let engine: Engine
    private let ack: AckPoint
    private let batchSize: Int
    private let format: Format
    private let output = OutputStream()
    private let progress = ProgressLine(unit: "records")
    private var batch = WriteBatch()
    private var batchCount: UInt64 = 0
    private var acked: UInt64 = 0
    private var reported: UInt64?
    private var sequence: UInt64

    init(_ engine: Engine, ack: AckPoint, batchSize: Int, format: Format) {
        self.engine = engine
        self.ack = ack
        self.batchSize = batchSize
        self.format = format
        sequence = engine.lastSequence
    }

    func run(_ lines: LineReader, _ parser: RecordParser, skip: UInt64) throws {
        defer { progress.end() }
        var skipped: UInt64 = 0
        while let line = try lines.next(), !Interruption.isRequested {
            guard skipped == skip else {
                skipped += 1
                continue
            }
            let record = try parser.record(line, number: lines.lineNumber)
            if batchSize == 1 {
                try note(engine.put(record.value, for: record.key, ack: ack), count: 1)
            } else {
                try add(record)
            }
            progress.update(acked)
        }
        try flush()
    }

    private func add(_ record: (key: [UInt8], value: [UInt8])) throws {
        // A batch that is full by size is written before it is full by count.
        let room = Limits.batchSize - batch.encodedSize
        if record.key.count + record.value.count + 32 > room { try flush() }
        try batch.put(record.value, for: record.key)
        batchCount += 1
        if batchCount == UInt64(batchSize) { try flush() }
    }

    private func flush() throws {
        guard batchCount > 0 else { return }
        let receipt = try engine.write(batch, ack: ack)
        let count = batchCount
        batch.removeAll()
        batchCount = 0
        try note(receipt, count: count)
    }

    private func note(_ receipt: WriteReceipt, count: UInt64) throws {
        acked += count
        sequence = receipt.position.sequence
        guard format == .json, acked - (reported ?? 0) >= 1000 else { return }
        try printAcked()
    }

    private func printAcked() throws {
        reported = acked
        let line = JSON.object([
            ("acked", .integer(Int(acked))), ("sequence", .integer(Int(sequence))),
        ])
        try output.print(line.text)
        try output.flush()
    }

    /// Says how many records of this run were acknowledged.
    func report() throws {
        if format == .text {
            try output.print("\(acked) records, last sequence \(sequence)")
            return try output.flush()
        }
        if reported != acked { try printAcked() }
    }
}

/// Set by the signal handler, which can capture nothing.
private let interruptionRequested = Atomic(false)

/// Whether the user wants the tool to end.
enum Interruption {
    static var isRequested: Bool { interruptionRequested.load(ordering: .relaxed) }

    /// Notes SIGINT and SIGTERM from now on.
    static func watch() {
        for number in [SIGINT, SIGTERM] {
            _ = signal(number) { _ in
                interruptionRequested.store(true, ordering: .relaxed)
            }
        }
    }
}
