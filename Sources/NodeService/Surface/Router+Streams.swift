internal import NIOPosix
internal import StorageEngine
internal import ToolSupport

extension Router {
    /// About how many bytes of lines are written at once.
    private static let pieceSize = 64 << 10

    var scan: Route {
        Route(needed: .read) { [node] request in
            let head = request.head
            try head.expect(["from", "to", "prefix", "limit", "after"])
            guard
                head.query["prefix"] == nil || head.query["from"] == nil && head.query["to"] == nil
            else { throw HTTPProblem(.badRequest, "prefix, or from and to, not both") }
            let range =
                head.query["prefix"].map { KeyRange(prefix: $0) }
                ?? KeyRange(from: head.query["from"] ?? [], to: head.query["to"])
            let limit = try head.limit()
            let snapshot = try await node.snapshot(after: try head.position("after"))
            return .lines { writer in
                let entries = try ScannedEntries(snapshot, in: range, limit: limit)
                // Files are read by threads that may wait.
                while let piece = try await NIOThreadPool.singleton.runIfActive({
                    try entries.next(about: Self.pieceSize)
                }) {
                    try await writer.write(piece)
                }
            }
        }
    }

    var changes: Route {
        Route(needed: .read) { [node] request in
            let head = request.head
            try head.expect(["after", "upTo", "limit"])
            let start = try head.position("after") ?? .start
            let horizon =
                try head.value("upTo", "memory, wal or disk", { AckPoint(name: $0) }) ?? .disk
            let limit = try head.limit()
            let changes = try await node.changes(after: start, upTo: horizon)
            return .lines { writer in try await Self.write(changes, limit, to: writer) }
        }
    }

    private static func write(
        _ changes: Changes,
        _ limit: UInt64,
        to writer: any HTTPBodyWriter
    ) async throws {
        var rest = limit
        var iterator = changes.makeAsyncIterator()
        while rest > 0, let batch = try await iterator.next() {
            var lines: [UInt8] = []
            batch.forEach { record in
                guard rest > 0 else { return }
                rest -= 1
                record.append(to: &lines)
            }
            try await writer.write(lines)
        }
    }
}

extension HTTPHead {
    /// How many lines are wanted at most.
    fileprivate func limit() throws(HTTPProblem) -> UInt64 {
        try value("limit", "a number from 0", { UInt64($0) }) ?? .max
    }
}

/// Lines of a snapshot's entries.
///
/// Thread safety: one call at a time.
private final class ScannedEntries: @unchecked Sendable {
    private var cursor: Cursor
    private var rest: UInt64

    init(_ snapshot: Snapshot, in range: KeyRange, limit: UInt64) throws(EngineError) {
        cursor = try snapshot.cursor(in: range)
        rest = limit
    }

    /// The next lines; `nil` when there are none left.
    func next(about size: Int) throws(EngineError) -> [UInt8]? {
        var lines: [UInt8] = []
        while rest > 0, lines.count < size, try cursor.next() {
            rest -= 1
            lines.append(UInt8(ascii: "{"))
            lines.append(member: "key", bytes: cursor.key, hex: false)
            lines.append(UInt8(ascii: ","))
            lines.append(member: "value", bytes: cursor.value, hex: false)
            lines.append(contentsOf: "}\n".utf8)
        }
        return lines.isEmpty ? nil : lines
    }
}

extension ChangeRecord {
    /// Appends the write as a line.
    fileprivate func append(to lines: inout [UInt8]) {
        lines.append(contentsOf: "{\"position\":\"\(position)\",".utf8)
        lines.append(contentsOf: "\"sequence\":\(position.sequence),".utf8)
        lines.append(contentsOf: "\"milliseconds\":\(milliseconds),\"operations\":[".utf8)
        var isFirst = true
        forEachOperation { kind, key, value in
            if !isFirst { lines.append(UInt8(ascii: ",")) }
            isFirst = false
            lines.append(kind, key: key, value: value)
        }
        lines.append(contentsOf: "]}\n".utf8)
    }
}

extension [UInt8] {
    fileprivate mutating func append(
        _ kind: ChangeRecord.Kind,
        key: borrowing Span<UInt8>,
        value: borrowing Span<UInt8>
    ) {
        let (name, first, second): (String, String, String?) =
            switch kind {
            case .put: ("put", "key", "value")
            case .delete: ("delete", "key", nil)
            case .deleteRange: ("deleteRange", "from", value.isEmpty ? nil : "to")
            @unknown default: ("unknown", "key", "value")
            }
        append(contentsOf: "{\"op\":\"\(name)\",".utf8)
        append(member: first, bytes: key, hex: false)
        if let second {
            append(UInt8(ascii: ","))
            append(member: second, bytes: value, hex: false)
        }
        append(UInt8(ascii: "}"))
    }
}
