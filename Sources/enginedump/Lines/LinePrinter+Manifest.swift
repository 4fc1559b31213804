import StorageEngine
import ToolSupport

extension LinePrinter {
    func manifest(_ place: LogPlace, _ header: ManifestHeader, size: UInt64) throws {
        try line(
            "file",
            place,
            [
                ("number", .unsigned(header.fileNumber)), ("size", .unsigned(size)),
                ("historyID", .string(header.historyID.description)),
                ("memberID", .string(header.memberID.description)),
                ("snapshotEnd", .unsigned(header.snapshotEnd)),
            ]
        )
    }

    /// One edit of a manifest; what it does not change is left out.
    func edit(_ place: LogPlace, number: UInt64, _ edit: VersionEdit) throws {
        var members: [Member] = [("number", .unsigned(number))]
        if !edit.added.isEmpty {
            let added = edit.added.map {
                JSON.object(self.members($0.info, level: $0.level))
            }
            members.append(("added", .array(added)))
        }
        if !edit.removed.isEmpty {
            let removed = edit.removed.map {
                JSON.object([
                    ("level", .integer($0.level)), ("number", .unsigned($0.number)),
                ])
            }
            members.append(("removed", .array(removed)))
        }
        if let mark = edit.flushed { members.append(("flushed", Self.json(mark))) }
        if let end = edit.logStart { members.append(("logStart", Self.json(end))) }
        if !edit.epochs.isEmpty { members.append(("epochs", Self.json(edit.epochs))) }
        if let sequence = edit.deltaHorizon {
            members.append(("deltaHorizon", .unsigned(sequence)))
        }
        if let next = edit.nextSegmentNumber {
            members.append(("nextSegmentNumber", .unsigned(next)))
        }
        try line("edit", place, members)
    }

    /// A segment that the manifest names, and that is not there.
    func missing(_ segment: LevelSegment) throws {
        let name = FileName.segment(segment.info.number).description
        let error = EngineError(
            .corruption,
            "opening a segment of level \(segment.level): the file that the manifest names is "
                + "missing",
            file: name
        )
        try self.error(LogPlace(file: name, offset: 0), error)
    }

    /// What a manifest's edits add up to.
    func state(_ place: LogPlace, _ state: ManifestState) throws {
        let bytes = state.levels.joined().reduce(UInt64(0)) { $0 &+ $1.size }
        try line(
            "state",
            place,
            [
                ("segments", .integer(state.segmentCount)), ("size", .unsigned(bytes)),
                ("flushed", Self.json(state.flushed)), ("logStart", Self.json(state.logStart)),
                ("epochs", Self.json(state.epochs)),
                ("deltaHorizon", .unsigned(state.deltaHorizon)),
                ("nextSegmentNumber", .unsigned(state.nextSegmentNumber)),
            ]
        )
    }

    /// A store's mark.
    func store(_ mark: StoreMark) throws {
        try line(
            "store",
            LogPlace(file: FileName.store.description, offset: 0),
            [
                ("historyID", .string(mark.historyID.description)),
                ("memberID", .string(mark.memberID.description)),
                ("floor", Self.json(mark.floor)), ("manifest", .unsigned(mark.manifest)),
                ("lastStamp", .string("\(mark.lastStamp >> 16).\(mark.lastStamp & 0xffff)")),
            ]
        )
    }

    private static func json(_ mark: FlushMark) -> JSON {
        .object([
            ("epoch", .unsigned(mark.epoch.number)),
            ("epochStarter", .string(hexadecimal(mark.epoch.starter))),
            ("sequence", .unsigned(mark.sequence)), ("logHash", .string(hexadecimal(mark.logHash))),
        ])
    }

    private static func json(_ end: LogEnd) -> JSON {
        .object([
            ("fileNumber", .unsigned(end.fileNumber)), ("length", .unsigned(end.length)),
            ("lastSequence", .unsigned(end.lastSequence)),
            ("logHash", .string(hexadecimal(end.logHash))),
        ])
    }

    private static func json(_ entries: [EpochEntry]) -> JSON {
        .array(
            entries.map {
                .object([
                    ("epoch", .unsigned($0.epoch.number)),
                    ("epochStarter", .string(hexadecimal($0.epoch.starter))),
                    ("lastSequenceBefore", .unsigned($0.lastSequenceBefore)),
                    ("logHashBefore", .string(hexadecimal($0.logHashBefore))),
                ])
            }
        )
    }
}
