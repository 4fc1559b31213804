internal import StorageEngine
internal import ToolSupport

/// Prints what an inspection comes across, one line each.
///
/// Thread safety: none.
final class LinePrinter {
    typealias Member = (name: String, value: JSON)

    let filter: Filter
    private var left: Int
    private(set) var lineCount = 0

    init(_ filter: Filter) {
        self.filter = filter
        left = filter.limit ?? .max
    }

    /// Whether no more lines are wanted.
    var isFull: Bool { left <= 0 }

    /// Prints a line of a type; the members are those of its JSON form.
    func line(_ type: String, _ place: LogPlace, _ members: [Member]) throws {
        guard left > 0 || type == "error" else { return }
        left -= 1
        lineCount += 1
        let all: [Member] =
            [
                ("type", .string(type)), ("file", .string(place.file)),
                ("offset", .unsigned(place.offset)),
            ] + members
        switch filter.format {
        case .json: try ToolOutput.print(JSON.object(all).text)
        case .text:
            let words = [type] + members.map { "\($0.name)=\(Self.text($0.value))" }
            let rest = words.joined(separator: " ")
            try ToolOutput.print("\(place.file):\(place.offset) \(rest)")
        }
    }

    /// A value on one line: strings are escaped as in TSV.
    static func text(_ value: JSON) -> String {
        guard case .string(let string) = value else { return value.text }
        var line: [UInt8] = []
        TSV.append(Array(string.utf8), to: &line)
        return String(decoding: line, as: UTF8.self)
    }

    func error(_ place: LogPlace, _ error: EngineError) throws {
        try line(
            "error",
            LogPlace(file: place.file, offset: error.offset ?? place.offset),
            [("code", .string(error.code.rawValue)), ("message", .string(error.message))]
        )
    }

    func file(_ place: LogPlace, _ header: LogFileHeader?, size: UInt64) throws {
        guard let header else {
            return try line("file", place, [("size", .unsigned(size)), ("used", .boolean(false))])
        }
        try line(
            "file",
            place,
            [
                ("size", .unsigned(size)), ("used", .boolean(true)),
                ("historyID", .string(header.historyID.description)),
                ("memberID", .string(header.memberID.description)),
                ("epoch", .unsigned(header.epoch.number)),
                ("epochStarter", .string(hexadecimal(header.epoch.starter))),
                ("firstSequence", .unsigned(header.firstSequence)),
                ("previousFile", .unsigned(header.predecessor.fileNumber)),
                ("previousLength", .unsigned(header.predecessor.length)),
                ("previousHash", .string(hexadecimal(header.predecessor.logHash))),
            ]
        )
    }

    func frame(_ place: LogPlace, _ frame: FrameHeader) throws {
        var members: [Member] = [
            ("firstSequence", .unsigned(frame.firstSequence)),
            ("lastSequence", .unsigned(frame.lastSequence)),
            ("previousSequence", .unsigned(frame.previousSequence)),
            ("storedBytes", .integer(frame.storedSize)), ("rawBytes", .integer(frame.rawSize)),
            ("syncedThrough", .unsigned(frame.syncedThrough)),
            ("flags", .array(frame.flags.names.map(JSON.string))),
        ]
        if let hash = frame.logHash { members.append(("logHash", .string(hexadecimal(hash)))) }
        try line(frame.flags.contains(.seal) ? "seal" : "frame", place, members)
    }

    func gap(
        _ place: LogPlace,
        length: UInt64,
        reason: String,
        after: UInt64,
        isDamage: Bool
    ) throws {
        try line(
            "gap",
            place,
            [
                ("length", .unsigned(length)), ("reason", .string(reason)),
                ("afterSequence", .unsigned(after)), ("damage", .boolean(isDamage)),
            ]
        )
    }

    /// One line for each operation of a record that is shown.
    func record(
        _ place: LogPlace,
        _ head: RecordHead,
        _ operations: [InspectedOperation]
    ) throws {
        for operation in operations {
            let head: [Member] = [
                ("sequence", .unsigned(head.sequence)),
                ("stamp", .string("\(head.stamp >> 16).\(head.stamp & 0xffff)")),
                ("kind", .string("\(head.kind)")),
            ]
            try line("record", place, head + members(operation))
        }
    }
}

extension OperationKind {
    var name: String {
        switch self {
        case .put: "put"
        case .delete: "delete"
        case .rangeDelete: "deleteRange"
        }
    }
}

extension FrameHeader.Flags {
    fileprivate var names: [String] {
        let all: [(FrameHeader.Flags, String)] = [
            (.storedRaw, "storedRaw"), (.restart, "restart"), (.syncMarker, "syncMarker"),
            (.seal, "seal"), (.large, "large"),
        ]
        return all.filter { contains($0.0) }.map(\.1)
    }
}
