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
    private var entries: MemoryIndexCursor
    private var place = Place.before

    init(_ snapshot: Snapshot, _ range: KeyRange) {
        self.snapshot = snapshot
        self.range = range
        entries = MemoryIndexCursor(snapshot.engine.readState.index, at: snapshot.sequence)
    }

    /// Whether the cursor stands on an entry.
    public var isOnEntry: Bool { place == .on }

    /// The key where the cursor stands; borrowed until the cursor moves.
    public var key: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            precondition(place == .on, "the cursor stands on no entry")
            return _overrideLifetime(
                Span(_unsafeElements: entries.key.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    /// The value where the cursor stands; borrowed until the cursor moves.
    public var value: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            precondition(place == .on, "the cursor stands on no entry")
            return _overrideLifetime(
                Span(_unsafeElements: entries.version.value.bindMemory(to: UInt8.self)),
                borrowing: self
            )
        }
    }

    // MARK: - Moves

    /// Moves to the next entry, to the first from before it.
    ///
    /// - Returns: `false` when there is none; the cursor is then behind the last entry.
    /// - Throws: ``EngineError`` with code `closed`.
    public mutating func next() throws(EngineError) -> Bool {
        switch place {
        case .before: return try seekToFirst()
        case .behind: return false
        case .on:
            try snapshot.engine.checkOpen()
            return settleForward(entries.next())
        }
    }

    /// Moves to the entry before, to the last from behind it.
    ///
    /// - Returns: `false` when there is none; the cursor is then before the first entry.
    /// - Throws: ``EngineError`` with code `closed`.
    public mutating func previous() throws(EngineError) -> Bool {
        switch place {
        case .before: return false
        case .behind: return try seekToLast()
        case .on:
            try snapshot.engine.checkOpen()
            return settleBackward(entries.previous())
        }
    }

    /// Moves to the first entry of the range; as ``next()`` otherwise.
    public mutating func seekToFirst() throws(EngineError) -> Bool {
        try snapshot.engine.checkOpen()
        return settleForward(range.lower.withUnsafeBytes { entries.seek(to: $0) })
    }

    /// Moves to the last entry of the range; as ``previous()`` otherwise.
    public mutating func seekToLast() throws(EngineError) -> Bool {
        try snapshot.engine.checkOpen()
        guard let upper = range.upper else { return settleBackward(entries.seekToLast()) }
        return settleBackward(upper.withUnsafeBytes { entries.seek(before: $0) })
    }

    /// Moves to the first entry at or behind a key; as ``next()`` otherwise.
    public mutating func seek<K: ByteSource & ~Copyable & ~Escapable>(
        to key: borrowing K
    ) throws(EngineError) -> Bool {
        try snapshot.engine.checkOpen()
        let found = key.withBytes { key in
            key.withUnsafeBytes { key in
                range.lower.withUnsafeBytes { lower in
                    entries.seek(to: key.precedes(lower) ? lower : key)
                }
            }
        }
        return settleForward(found)
    }

    /// Moves to the last entry before a key; as ``previous()`` otherwise.
    public mutating func seek<K: ByteSource & ~Copyable & ~Escapable>(
        before key: borrowing K
    ) throws(EngineError) -> Bool {
        try snapshot.engine.checkOpen()
        guard let upper = range.upper else {
            return settleBackward(
                key.withBytes { key in key.withUnsafeBytes { entries.seek(before: $0) } }
            )
        }
        let found = key.withBytes { key in
            key.withUnsafeBytes { key in
                upper.withUnsafeBytes { upper in
                    entries.seek(before: upper.precedes(key) ? upper : key)
                }
            }
        }
        return settleBackward(found)
    }

    // MARK: - Visibility

    /// Steps over tombstones, and stops at the upper bound.
    private mutating func settleForward(_ found: Bool) -> Bool {
        var found = found
        while found, entries.version.isTombstone { found = entries.next() }
        if found, let upper = range.upper {
            found = upper.withUnsafeBytes { entries.key.precedes($0) }
        }
        place = found ? .on : .behind
        return found
    }

    /// Steps over tombstones, and stops at the lower bound.
    private mutating func settleBackward(_ found: Bool) -> Bool {
        var found = found
        while found, entries.version.isTombstone { found = entries.previous() }
        if found, !range.lower.isEmpty {
            found = !range.lower.withUnsafeBytes { entries.key.precedes($0) }
        }
        place = found ? .on : .before
        return found
    }
}
