internal import StorageEngine
internal import ToolSupport

/// Writes records, and says how many of them were acked.
///
/// Thread safety: none.
final class Importer {
    private let engine: Engine
    private let settings: Settings
    private var progress = ToolProgress("records")
    private var batch = WriteBatch()
    /// The input records in the batch; of several with one key, the batch holds the last.
    private var batchCount: UInt64 = 0
    private var acked: UInt64 = 0
    private var reported: UInt64?
    private var sequence: UInt64

    /// How records are written.
    struct Settings {
        let ack: AckPoint
        let batchSize: UInt64
        let format: OutputFormat
    }

    /// Scripts rely on hearing of every so many acked records.
    private static let reportDistance: UInt64 = 1000
    /// What an operation adds to its key and value, at most.
    private static let operationOverhead = 32

    init(_ engine: Engine, _ settings: Settings) {
        self.engine = engine
        self.settings = settings
        sequence = engine.lastSequence
    }

    /// Writes the records of all lines but the first ones, until the user wants the tool to end.
    func run(_ lines: inout LineReader, _ parser: RecordParser, skip: UInt64) throws {
        defer { progress.end() }
        var left = skip
        do {
            while !Interruption.isRequested, let line = try lines.next() {
                guard left == 0 else {
                    left -= 1
                    continue
                }
                try add(parser.record(line))
                progress.note(acked + batchCount, part: lines.part)
            }
        } catch let error as RecordParser.Malformed {
            try commit()
            throw ToolError("reading \(lines.name), line \(lines.number): \(error.reason)")
        } catch let error as ToolError {
            try commit()
            throw error
        } catch let error as EngineError where error.code == .invalidArgument {
            try commit()
            throw ToolError("importing \(lines.name), line \(lines.number): \(error.message)")
        }
        try commit()
    }

    private func add(_ record: RecordParser.Record) throws {
        guard settings.batchSize > 1 else {
            return try note(engine.put(record.value, for: record.key, ack: settings.ack), count: 1)
        }
        let size = record.key.count + record.value.count + Self.operationOverhead
        if batch.encodedSize + size > Limits.batchSize { try commit() }
        try batch.put(record.value, for: record.key)
        batchCount += 1
        if batchCount == settings.batchSize { try commit() }
    }

    private func commit() throws {
        guard batchCount > 0 else { return }
        let receipt = try engine.write(batch, ack: settings.ack)
        let count = batchCount
        batch.removeAll()
        batchCount = 0
        try note(receipt, count: count)
    }

    private func note(_ receipt: WriteReceipt, count: UInt64) throws {
        acked += count
        sequence = receipt.position.sequence
        // Before the next batch would make it too many.
        guard acked + settings.batchSize > (reported ?? 0) + Self.reportDistance else { return }
        if settings.format == .json { try printAcked() }
    }

    private func printAcked() throws {
        reported = acked
        let members = [("acked", JSON.unsigned(acked)), ("sequence", .unsigned(sequence))]
        try ToolOutput.print(JSON.object(members).text)
    }

    /// Says at the end how many records of this run were acked.
    func report() throws {
        switch settings.format {
        case .json: if reported != acked { try printAcked() }
        case .text: try ToolOutput.print("\(acked) records acked, last sequence \(sequence)")
        }
    }
}
