// Compares two stores by their files: histories first, then key by key.
//
// 1. They are compared at one sequence: the last one that both have, or one that is given. Stores
//    of different histories have no sequence in common: each is taken at its end.
// 2. Log hashes are compared where both are known. As a hash names all records before it, the last
//    common one says it all; where they differ, the first such record is looked for.
// 3. Keys are walked side by side, with a block of each segment in memory.

/// A difference between two stores, A and B.
package enum StoreDifference: Sendable {
    case history(UniqueID, UniqueID)
    /// An epoch that only one has although the other went on, or that began otherwise; `nil` where
    /// it is missing.
    case epoch(EpochEntry?, EpochEntry?)
    /// The logs agree through one sequence, where that is known, and differ from another.
    case logHash(agreesThrough: UInt64?, differsFrom: UInt64)
    /// What each has of a key; `nil` for nothing. Both are there with one value when only the
    /// sequences differ.
    case key([UInt8], Found?, Found?)

    package struct Found: Sendable, Hashable {
        package let sequence: UInt64
        package let value: [UInt8]
    }
}

/// What a comparison came to.
package struct StoreDiffSummary: Sendable, Hashable {
    /// The sequence at which the stores were compared, of each its own when histories differ.
    package var sequenceA: UInt64 = 0, sequenceB: UInt64 = 0
    package var lastSequenceA: UInt64 = 0, lastSequenceB: UInt64 = 0
    /// The last sequence at which the log hashes are known to be equal; `nil` for none.
    package var agreesThrough: UInt64?
    /// Keys that have a value in one or both, how many of them are equal, and how many cannot be
    /// told, as they were changed behind the sequence.
    package var keys: UInt64 = 0, equal: UInt64 = 0, undetermined: UInt64 = 0
    package var differences: UInt64 = 0
    package var isDamaged = false, hasMissingFiles = false
    package init() {}
}

/// Compares two stores.
///
/// Thread safety: none; one owner.
package final class StoreDiff {
    package typealias ErrorHandler = (LogPlace, EngineError) throws -> Void

    /// What is compared.
    package struct Settings: Sendable {
        package var keys = KeyRange.all
        /// `nil` for the last sequence that both have.
        package var sequence: UInt64?
        /// Whether only keys and values count, not the histories that led there.
        package var contentsOnly = false
        package init() {}
    }

    private let a: StoreContents
    private let b: StoreContents
    private let settings: Settings
    private let handle: (StoreDifference) throws -> Void
    private let report: ErrorHandler
    private var summary = StoreDiffSummary()

    /// Looks at both stores.
    ///
    /// - Parameters:
    ///   - pathA: The directory of the one.
    ///   - pathB: That of the other.
    ///   - settings: What is compared.
    ///   - handle: Gets every difference.
    ///   - report: Gets what is wrong with the files; their names begin with the paths.
    /// - Throws: ``EngineError`` with code `notAStore`, `invalidArgument` or `io`, or what the
    ///   closures throw.
    package init(
        _ pathA: String,
        _ pathB: String,
        _ settings: Settings,
        _ handle: @escaping (StoreDifference) throws -> Void,
        errors report: @escaping ErrorHandler
    ) throws {
        a = try StoreContents(path: pathA, report)
        b = try StoreContents(path: pathB, report)
        self.settings = settings
        self.handle = handle
        self.report = report
        summary.lastSequenceA = a.lastSequence
        summary.lastSequenceB = b.lastSequence
    }

    private var hasOneHistory: Bool { a.historyID == b.historyID }

    /// Compares; what is damaged is not compared.
    package func run() throws -> StoreDiffSummary {
        let common = min(a.lastSequence, b.lastSequence)
        if let sequence = settings.sequence, sequence > common || !hasOneHistory {
            throw EngineError.invalidArgument(
                hasOneHistory
                    ? "comparing at sequence \(sequence): one store ends at \(common)"
                    : "comparing at sequence \(sequence): the stores have different histories"
            )
        }
        let end = settings.sequence ?? common
        summary.sequenceA = hasOneHistory ? end : a.lastSequence
        summary.sequenceB = hasOneHistory ? end : b.lastSequence
        noteDamage()
        guard !summary.isDamaged, !summary.hasMissingFiles else { return summary }
        let found = a.trail.compare(b.trail, through: common)
        let window = (found.agreesThrough ?? 0)...(found.differsFrom ?? common)
        let windowA = try a.load(through: summary.sequenceA, window: window)
        let windowB = try b.load(through: summary.sequenceB, window: window)
        noteDamage()
        guard !summary.isDamaged, !summary.hasMissingFiles else { return summary }
        if !settings.contentsOnly {
            try compareHistories(found, windowA, windowB)
        }
        try compareKeys()
        return summary
    }

    private func noteDamage() {
        summary.isDamaged = summary.isDamaged || a.isDamaged || b.isDamaged
        summary.hasMissingFiles = a.hasMissingFiles || b.hasMissingFiles
    }

    private func tell(_ difference: StoreDifference) throws {
        summary.differences += 1
        try handle(difference)
    }

    // MARK: - Histories

    private func compareHistories(
        _ found: LogTrail.Comparison,
        _ windowA: LogWindow,
        _ windowB: LogWindow
    ) throws {
        guard hasOneHistory else { return try tell(.history(a.historyID, b.historyID)) }
        try compareEpochs()
        summary.agreesThrough = found.agreesThrough
        // Both logs have all records behind this one.
        let start = max(a.logStart, b.logStart, found.agreesThrough ?? 0)
        let end = min(a.lastSequence, b.lastSequence)
        let partA = windowA.part(behind: start, through: end)
        let partB = windowB.part(behind: start, through: end)
        let exact = partA.firstDifference(from: partB)
        let equal = partA.hashes.last { $0.sequence < exact ?? found.differsFrom ?? .max }
        if let equal, partA.isComplete, partB.isComplete {
            summary.agreesThrough = max(equal.sequence, found.agreesThrough ?? 0)
        }
        guard let first = exact ?? found.differsFrom else { return }
        try tell(.logHash(agreesThrough: summary.agreesThrough, differsFrom: first))
    }

    private func compareEpochs() throws {
        let tableA = Dictionary(uniqueKeysWithValues: a.epochs.map { ($0.epoch.number, $0) })
        let tableB = Dictionary(uniqueKeysWithValues: b.epochs.map { ($0.epoch.number, $0) })
        for number in Set(tableA.keys).union(tableB.keys).sorted() {
            let (entryA, entryB) = (tableA[number], tableB[number])
            switch (entryA, entryB) {
            case (let entry?, nil):
                guard b.lacks(entry) else { continue }
            case (nil, let entry?):
                guard a.lacks(entry) else { continue }
            default:
                if entryA == entryB { continue }
            }
            try tell(.epoch(entryA, entryB))
        }
    }

    // MARK: - Keys

    /// Which store has the key that comes next.
    private enum Side { case a, b, both }

    private func compareKeys() throws {
        let (keys, endA, endB) = (settings.keys, summary.sequenceA, summary.sequenceB)
        guard let walkA = try attempt(a, { try a.walk(keys, at: endA) }),
            let walkB = try attempt(b, { try b.walk(keys, at: endB) }),
            try attempt(a, walkA.start) != nil, try attempt(b, walkB.start) != nil
        else { return }
        while let side = Self.side(walkA.key, walkB.key) {
            try compare(side, walkA, walkB)
            if side != .b { guard try attempt(a, walkA.next) != nil else { return } }
            if side != .a { guard try attempt(b, walkB.next) != nil else { return } }
        }
    }

    private static func side(
        _ keyA: UnsafeRawBufferPointer?,
        _ keyB: UnsafeRawBufferPointer?
    ) -> Side? {
        guard let keyA else { return keyB == nil ? nil : .b }
        guard let keyB else { return .a }
        if keyA.precedes(keyB) { return .a }
        return keyB.precedes(keyA) ? .b : .both
    }

    private func compare(_ side: Side, _ walkA: ContentsWalk, _ walkB: ContentsWalk) throws {
        guard let key = side == .b ? walkB.key : walkA.key else { return }
        let contentsA = side == .b ? KeyContents.none : walkA.contents
        let contentsB = side == .a ? KeyContents.none : walkB.contents
        switch (contentsA, contentsB) {
        case (.changedLater, _), (_, .changedLater): summary.undetermined += 1
        case (.none, .none): break
        case (.value, .none) where side == .a && !walkB.knowsAbsence,
            (.none, .value) where side == .b && !walkA.knowsAbsence:
            summary.undetermined += 1
        case (.value(let valueA, let sequenceA), .value(let valueB, let sequenceB))
        where valueA.isEqual(to: valueB) && (sequenceA == sequenceB || ignoresSequences):
            summary.keys += 1
            summary.equal += 1
        default:
            summary.keys += 1
            try tell(.key(Array(key), contentsA.found, contentsB.found))
        }
    }

    private var ignoresSequences: Bool { settings.contentsOnly || !hasOneHistory }

    /// Tells of damage, and returns `nil`; a failed call of the system ends the comparison.
    private func attempt<R>(_ store: StoreContents, _ body: () throws -> R) throws -> R? {
        do {
            return try body()
        } catch let error as EngineError {
            guard error.code != .io else { throw error }
            summary.isDamaged = true
            let file = "\(store.path)/\(error.file ?? ".")"
            try report(LogPlace(file: file, offset: error.offset ?? 0), error)
            return nil
        }
    }
}

extension KeyContents {
    fileprivate var found: StoreDifference.Found? {
        guard case .value(let value, let sequence) = self else { return nil }
        return StoreDifference.Found(sequence: sequence, value: Array(value))
    }
}
