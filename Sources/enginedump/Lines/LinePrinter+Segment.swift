import StorageEngine
import ToolSupport

extension LinePrinter {
    /// A segment. `level`: where the manifest has it.
    func segment(
        _ place: LogPlace,
        _ info: SegmentInfo,
        storedBytes: UInt64? = nil,
        level: Int? = nil
    ) throws {
        try line("segment", place, members(info, storedBytes: storedBytes, level: level))
    }

    func members(
        _ info: SegmentInfo,
        storedBytes: UInt64? = nil,
        level: Int? = nil
    ) -> [Member] {
        let place: [Member] = level.map { [("level", .integer($0))] } ?? []
        let stored: [Member] = storedBytes.map { [("storedBytes", .unsigned($0))] } ?? []
        return place + [
            ("number", .unsigned(info.number)), ("size", .unsigned(info.size)),
            ("entries", .unsigned(info.entryCount)),
            ("tombstones", .unsigned(info.tombstoneCount)),
            ("rangeTombstones", .unsigned(info.rangeTombstoneCount)),
            ("minSequence", .unsigned(info.minSequence)),
            ("maxSequence", .unsigned(info.maxSequence)),
            JSON.member("smallestKey", bytes: info.smallest, hex: filter.hex),
            JSON.member("largestKey", bytes: info.largest, hex: filter.hex),
            ("excludesLargest", .boolean(info.excludesLargest)),
            ("rawBytes", .unsigned(info.rawBytes)),
        ] + stored + [("checksum", .string(hexadecimal(info.checksum)))]
    }

    func block(_ place: LogPlace, _ block: InspectedBlock) throws {
        var members: [Member] = [("kind", .string(block.kind)), ("size", .integer(block.size))]
        if let size = block.rawSize { members.append(("rawSize", .integer(size))) }
        if let key = block.firstKey {
            members.append(JSON.member("firstKey", bytes: key, hex: filter.hex))
        }
        try line("block", place, members)
    }

    /// A version, or a piece of a range tombstone.
    func entry(
        _ place: LogPlace,
        _ operation: InspectedOperation,
        sequence: UInt64,
        level: Int? = nil
    ) throws {
        let start: [Member] = level.map { [("level", .integer($0))] } ?? []
        try line(
            "entry",
            place,
            start + [("sequence", .unsigned(sequence))] + members(operation)
        )
    }

    /// What every operation is told with, in the log and in segments.
    func members(_ operation: InspectedOperation) -> [Member] {
        var members: [Member] = [
            ("operation", .string(operation.kind.name)),
            JSON.member("key", bytes: operation.key, hex: filter.hex),
        ]
        if let upper = operation.upper {
            members.append(JSON.member("upperKey", bytes: upper, hex: filter.hex))
        }
        if let value = operation.value, !filter.noValues {
            members.append(JSON.member("value", bytes: value, hex: filter.hex))
        }
        return members
    }

    /// The line at the end of a check.
    func summary(_ members: [Member]) throws {
        guard filter.format == .text else {
            return try ToolOutput.print(JSON.object([("type", .string("summary"))] + members).text)
        }
        try ToolOutput.print(
            members.map { "\($0.name)=\($0.value.plainText)" }.joined(separator: " ")
        )
    }
}
