/// A place in the sorted keys of a snapshot, which moves both ways.
///
/// A cursor stands on an entry, before the first or behind the last. ``next()`` and ``previous()``
/// move by one and may change direction at any time. Writes do not disturb it: it sees its
/// snapshot.
///
/// ```swift
/// var cursor = try snapshot.cursor(in: KeyRange(prefix: Array("user:".utf8)))
/// while try cursor.next() { print(cursor.key.count, cursor.value.count) }
/// ```
///
/// Thread safety: none; a cursor has one owner, who may send it on.
public struct Cursor: ~Copyable {
    private enum Place { case before, on, behind }

    private let snapshot: Snapshot
    private let range: KeyRange
    /// A batch that is not written yet, and lies over the snapshot.
    private let overlay: BatchOverlay.Reading?
    private var view: ReadView
    private var entries: MergeCursor
    /// The range tombstones of the view.
    private var tombstones: RangeTombstones
    private var place = Place.before
    /// Why the cursor cannot go on; the next seek begins anew.
    private var failure: EngineError?

    init(_ snapshot: Snapshot, _ range: KeyRange, under overlay: BatchOverlay.Reading? = nil) {
        self.snapshot = snapshot
        self.range = range
        self.overlay = overlay
        view = snapshot.engine.readState.view
        entries = MergeCursor(view, at: snapshot.sequence, under: overlay?.source)
        tombstones = view.rangeTombstones
    }

    /// Whether the cursor stands on an entry.
    public var isOnEntry: Bool { place == .on }

    /// The key where the cursor stands; borrowed until the cursor moves.
    public var key: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            _overrideLifetime(
                Span(_unsafeElements: entry.key.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    /// The value where the cursor stands; borrowed until the cursor moves.
    public var value: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            _overrideLifetime(
                Span(_unsafeElements: entry.value.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    private var entry: VisibleSource.Entry {
        guard place == .on, let entry = entries.entry else {
            preconditionFailure("the cursor stands on no entry")
        }
        return entry
    }

    // MARK: - Moves

    /// Moves to the next entry, to the first from before it.
    ///
    /// - Returns: `false` when there is none; the cursor is then behind the last entry.
    /// - Throws: ``EngineError`` with code `closed`, `corruption` or `io`; the cursor then stands
    ///   on no entry, and throws the same until it is sought again.
    public mutating func next() throws(EngineError) -> Bool {
        if let failure { throw failure }
        switch place {
        case .before: return try seekToFirst()
        case .behind: return false
        case .on:
            return try attempt { (cursor: inout Cursor) throws(EngineError) in
                try cursor.renewView()
                try cursor.entries.next()
                return try cursor.settleForward()
            }
        }
    }

    /// Moves to the entry before, to the last from behind it.
    ///
    /// - Returns: `false` when there is none; the cursor is then before the first entry.
    /// - Throws: As ``next()``.
    public mutating func previous() throws(EngineError) -> Bool {
        if let failure { throw failure }
        switch place {
        case .before: return false
        case .behind: return try seekToLast()
        case .on:
            return try attempt { (cursor: inout Cursor) throws(EngineError) in
                try cursor.renewView()
                try cursor.entries.previous()
                return try cursor.settleBackward()
            }
        }
    }

    /// Moves to the first entry of the range; as ``next()`` otherwise.
    public mutating func seekToFirst() throws(EngineError) -> Bool {
        try seekForward(to: nil)
    }

    /// Moves to the last entry of the range; as ``previous()`` otherwise.
    public mutating func seekToLast() throws(EngineError) -> Bool {
        try seekBackward(before: nil)
    }

    /// Moves to the first entry at or behind a key; as ``next()`` otherwise.
    public mutating func seek<K: ByteSource & ~Copyable & ~Escapable>(
        to key: borrowing K
    ) throws(EngineError) -> Bool {
        try seekForward(to: key.withBytes { $0.copied })
    }

    /// Moves to the last entry before a key; as ``previous()`` otherwise.
    public mutating func seek<K: ByteSource & ~Copyable & ~Escapable>(
        before key: borrowing K
    ) throws(EngineError) -> Bool {
        try seekBackward(before: key.withBytes { $0.copied })
    }

    private mutating func seekForward(to key: [UInt8]?) throws(EngineError) -> Bool {
        failure = nil
        place = .before
        let lower = range.lower
        let start = key.map { $0.lexicographicallyPrecedes(lower) ? lower : $0 } ?? lower
        return try attempt { (cursor: inout Cursor) throws(EngineError) in
            cursor.openView()
            try start.span.withUnsafeBytes { key throws(EngineError) in
                try cursor.entries.seek(to: key)
            }
            return try cursor.settleForward()
        }
    }

    private mutating func seekBackward(before key: [UInt8]?) throws(EngineError) -> Bool {
        failure = nil
        place = .behind
        let end = key.map { key in
            range.upper.map { $0.lexicographicallyPrecedes(key) ? $0 : key } ?? key
        }
        return try attempt { (cursor: inout Cursor) throws(EngineError) in
            cursor.openView()
            guard let end = end ?? cursor.range.upper else {
                try cursor.entries.seekToLast()
                return try cursor.settleBackward()
            }
            try end.span.withUnsafeBytes { key throws(EngineError) in
                try cursor.entries.seek(before: key)
            }
            return try cursor.settleBackward()
        }
    }

    /// Moves, and remembers an error: what was found afterwards could have skipped entries.
    private mutating func attempt(
        _ move: (inout Cursor) throws(EngineError) -> Bool
    ) throws(EngineError) -> Bool {
        do throws(EngineError) {
            try snapshot.engine.checkOpen()
            return try move(&self)
        } catch {
            failure = error
            place = .before
            throw error
        }
    }

    // MARK: - Views

    /// Takes the newest view, so that the cursor keeps no index and no file from being given back.
    private mutating func openView() {
        guard view.isReplaced else { return }
        view = snapshot.engine.readState.view
        entries = MergeCursor(view, at: snapshot.sequence, under: overlay?.source)
        tombstones = view.rangeTombstones
    }

    /// Takes the newest view, and the same place in it.
    private mutating func renewView() throws(EngineError) {
        guard view.isReplaced, let entry = entries.entry else { return }
        let key = Array(entry.key)
        openView()
        try key.span.withUnsafeBytes { key throws(EngineError) in try entries.seek(to: key) }
    }

    // MARK: - Visibility

    /// Whether an entry is a tombstone, or a range tombstone hides it.
    private func isDeleted(_ entry: VisibleSource.Entry) -> Bool {
        if entry.isTombstone { return true }
        if let overlay, !overlay.tombstones.isEmpty {
            let newest = overlay.tombstones.newest(covering: entry.key, at: overlay.sequence)
            if entry.sequence < newest { return true }
        }
        guard !tombstones.isEmpty else { return false }
        return entry.sequence < tombstones.newest(covering: entry.key, at: snapshot.sequence)
    }

    /// Which range tombstones hide all that the cursor could come across, up to a sequence.
    private func hiding(at sequence: UInt64) -> RangeWindow {
        let last = max(view.lastVersionSequence, overlay?.lastVersionSequence ?? 0)
        return RangeWindow(newerThan: last, at: sequence)
    }

    /// Moves on from an entry that is deleted, to the end of the run where all are.
    private mutating func skipForward(_ entry: VisibleSource.Entry) throws(EngineError) {
        let key = entry.key
        let end =
            overlay.flatMap { $0.tombstones.coverageEnd(from: key, hiding(at: $0.sequence)) }
            ?? tombstones.coverageEnd(from: key, hiding(at: snapshot.sequence))
        switch end {
        case nil: try entries.next()
        case .key(let key):
            try key.span.withUnsafeBytes { key throws(EngineError) in try entries.seek(to: key) }
        case .unbounded: entries.seekToNothing()
        }
    }

    /// Moves back from an entry that is deleted, to before the run where all are.
    private mutating func skipBackward(_ entry: VisibleSource.Entry) throws(EngineError) {
        let key = entry.key
        let start =
            overlay.flatMap { $0.tombstones.coverageStart(of: key, hiding(at: $0.sequence)) }
            ?? tombstones.coverageStart(of: key, hiding(at: snapshot.sequence))
        guard let start else { return try entries.previous() }
        try start.span.withUnsafeBytes { key throws(EngineError) in try entries.seek(before: key) }
    }

    /// Steps over what is deleted, and stops at the upper bound.
    private mutating func settleForward() throws(EngineError) -> Bool {
        while let entry = entries.entry, isDeleted(entry) { try skipForward(entry) }
        var isInside = entries.entry != nil
        if let entry = entries.entry, let upper = range.upper {
            isInside = upper.withUnsafeBytes { entry.key.precedes($0) }
        }
        place = isInside ? .on : .behind
        return isInside
    }

    /// Steps over what is deleted, and stops at the lower bound.
    private mutating func settleBackward() throws(EngineError) -> Bool {
        while let entry = entries.entry, isDeleted(entry) { try skipBackward(entry) }
        var isInside = entries.entry != nil
        if let entry = entries.entry, !range.lower.isEmpty {
            isInside = !range.lower.withUnsafeBytes { entry.key.precedes($0) }
        }
        place = isInside ? .on : .before
        return isInside
    }
}
