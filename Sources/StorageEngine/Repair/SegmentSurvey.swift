/// A segment of a store, and how much of it can be read.
struct SurveyedSegment: Sendable {
    enum Condition: Sendable {
        case good
        /// Its entries can be read but for these; all of them when only what is beside them is
        /// damaged, or the file has another name.
        case damaged(SegmentInspector.Losses)
        /// Missing, or nothing of it can be read.
        case lost
    }

    let number: UInt64
    /// The file it is in.
    let name: FileName
    /// `nil` when nothing says on which level the segment is.
    let level: Int?
    /// What the manifest says of it, else the file itself; `nil` when neither does.
    let info: SegmentInfo?
    let condition: Condition
    let defects: [StoreDefect]

    var isGood: Bool { if case .good = condition { true } else { false } }

    /// Versions and pieces of range tombstones that a copy can hold.
    var readableCount: UInt64 {
        switch condition {
        case .good: info.map { $0.entryCount + $0.rangeTombstoneCount } ?? 0
        case .damaged(let losses): losses.readableCount
        case .lost: 0
        }
    }

    /// What is lost when only what can be read is kept, of the sequences up to one.
    func losses(through last: UInt64) -> [StoreLoss] {
        let keys = info?.keys ?? .all
        let first = info?.minSequence ?? 0
        let sequences = info == nil ? nil : first...max(first, min(last, info?.maxSequence ?? 0))
        func loss(_ kind: StoreLoss.Kind, _ keys: KeyRange) -> StoreLoss {
            StoreLoss(kind, file: name.description, keys: keys, sequences: sequences)
        }
        switch condition {
        case .good: return []
        case .damaged(let losses):
            let blocks = losses.keys.map { loss(.versions, $0.intersection(keys)) }
            return blocks + (losses.losesRanges ? [loss(.rangeDeletes, keys)] : [])
        case .lost:
            let hasRanges = info.map { $0.rangeTombstoneCount > 0 } ?? true
            return [loss(.versions, keys)] + (hasRanges ? [loss(.rangeDeletes, keys)] : [])
        }
    }
}

/// Looks at segment files.
struct SegmentSurvey {
    let directory: StoreDirectory
    let historyID: UniqueID
    /// Segments whose file has the name of another one, by number.
    let misplaced: [UInt64: FileName]

    init(_ directory: StoreDirectory, historyID: UniqueID) throws(EngineError) {
        self.directory = directory
        self.historyID = historyID
        var misplaced: [UInt64: FileName] = [:]
        for case .segment(let number) in try directory.list().known {
            let footer = try Self.footer(.segment(number), directory)
            guard let footer, footer.fileNumber != number, footer.historyID == historyID else {
                continue
            }
            misplaced[footer.fileNumber] = .segment(number)
        }
        self.misplaced = misplaced
    }

    /// The footer of a file; `nil` when there is none that can be read.
    static func footer(
        _ name: FileName,
        _ directory: StoreDirectory
    ) throws(EngineError) -> SegmentFooter? {
        do throws(EngineError) {
            return try Segment.footer(of: directory.open(name, for: .read))
        } catch {
            guard !error.isOfSystem else { throw error }
            return nil
        }
    }

    /// Reads a segment that the manifest names.
    func examine(_ named: LevelSegment) throws(EngineError) -> SurveyedSegment {
        let info = named.info
        let found = try examine(.segment(info.number), info.number, named.level, info)
        // Another file may be it.
        guard case .lost = found.condition, let name = misplaced[info.number] else { return found }
        let other = try examine(name, info.number, named.level, info)
        if case .lost = other.condition { return found }
        var losses = SegmentInspector.Losses()
        if case .damaged(let known) = other.condition { losses = known }
        if case .good = other.condition { losses.readableCount = other.readableCount }
        return SurveyedSegment(
            number: info.number,
            name: name,
            level: named.level,
            info: info,
            condition: .damaged(losses),
            defects: found.defects + other.defects
        )
    }

    /// Reads a file of which no manifest says anything; `nil` when it is a copy of another one.
    func examine(_ number: UInt64) throws(EngineError) -> SurveyedSegment? {
        let name = FileName.segment(number)
        guard let footer = try Self.footer(name, directory), footer.fileNumber != number,
            footer.historyID == historyID
        else { return try examine(name, number, nil, nil) }
        let own = try Self.footer(.segment(footer.fileNumber), directory)
        return own == footer ? nil : try examine(name, footer.fileNumber, nil, nil)
    }

    private func examine(
        _ name: FileName,
        _ number: UInt64,
        _ level: Int?,
        _ named: SegmentInfo?
    ) throws(EngineError) -> SurveyedSegment {
        var info = named
        var condition = SurveyedSegment.Condition.lost
        var errors: [EngineError] = []
        do throws(EngineError) {
            let inspector = try SegmentInspector(
                number: number,
                in: directory,
                historyID: historyID,
                name: name
            )
            condition = try examine(inspector, &info, &errors)
        } catch {
            guard !error.isOfSystem || error.isMissingFile else { throw error }
            errors.append(error.isMissingFile ? Self.missing(name) : error)
        }
        return SurveyedSegment(
            number: number,
            name: name,
            level: level,
            info: info,
            condition: condition,
            defects: errors.map { StoreDefect($0, file: name.description) }
        )
    }

    private func examine(
        _ inspector: SegmentInspector,
        _ info: inout SegmentInfo?,
        _ errors: inout [EngineError]
    ) throws(EngineError) -> SurveyedSegment.Condition {
        do throws(EngineError) {
            info = try inspector.verify(info)
            return .good
        } catch {
            guard !error.isOfSystem else { throw error }
            errors.append(error)
        }
        guard info.map(inspector.isNamed) ?? true else { return .lost }
        do throws(EngineError) {
            let losses = try inspector.losses()
            // What is wrong in particular says more.
            if !losses.errors.isEmpty { errors = losses.errors }
            return losses.readableCount > 0 ? .damaged(losses) : .lost
        } catch {
            guard !error.isOfSystem else { throw error }
            errors = [error]
            return .lost
        }
    }

    private static func missing(_ name: FileName) -> EngineError {
        .corruption(
            "opening a segment: the file that the manifest names is missing",
            file: name.description,
            offset: 0
        )
    }
}
