/// A batch that can be read before it is written: what it will do lies over what the store holds.
///
/// Reads see the batch's operations in their order, and the store where the batch says nothing.
/// Over a snapshot, that is the store at that moment; over an engine, the store as it is at each
/// read. Writing takes nobody else's writes into account: it is no transaction.
///
/// ```swift
/// var batch = IndexedBatch(over: engine)
/// try batch.deleteRange(KeyRange(prefix: Array("user:".utf8)))
/// try batch.put("Ada", for: "user:1")
/// try batch.value(for: "user:1")  // Ada; no other user is there any more
/// try batch.write(ack: .wal)
/// ```
///
/// Each value is kept twice, once to be written and once to be found.
///
/// Thread safety: none; it has one owner, and may be sent from thread to thread. Its cursors have
/// owners of their own.
public struct IndexedBatch: ~Copyable, Sendable {
    private let engine: Engine
    /// `nil` for the newest state.
    private let snapshot: Snapshot?
    private var batch = WriteBatch()
    private var overlay = BatchOverlay()

    /// Makes an empty batch over the newest state of a store.
    public init(over engine: Engine) {
        self.engine = engine
        snapshot = nil
    }

    /// Makes an empty batch over the state that a snapshot sees.
    public init(over snapshot: Snapshot) {
        engine = snapshot.engine
        self.snapshot = snapshot
    }

    /// How many changes the batch makes; see ``WriteBatch/count``.
    public var count: Int { batch.count }

    /// Whether the batch changes nothing.
    public var isEmpty: Bool { batch.isEmpty }

    // MARK: - Operations

    /// Sets the value of a key.
    ///
    /// - Throws: As ``WriteBatch/put(_:for:)``.
    @inlinable
    public mutating func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(_ value: borrowing V, for key: borrowing K) throws(EngineError) {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try value.withBytes { (value: Span<UInt8>) throws(EngineError) in
                try append(isPut: true, key: key, value: value)
            }
        }
    }

    /// Removes a key, whether it exists or not.
    ///
    /// - Throws: As ``WriteBatch/delete(_:)``.
    @inlinable
    public mutating func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K
    ) throws(EngineError) {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try append(isPut: false, key: key, value: Span())
        }
    }

    /// Removes every key in a range, of the store and of what the batch did before. An empty range
    /// does nothing.
    ///
    /// - Throws: As ``WriteBatch/deleteRange(_:)``.
    public mutating func deleteRange(_ range: KeyRange) throws(EngineError) {
        try batch.deleteRange(range)
        guard !range.isEmpty else { return }
        overlay.delete(range)
    }

    /// Removes all operations.
    public mutating func removeAll() {
        batch.removeAll()
        overlay = BatchOverlay()
    }

    @usableFromInline
    mutating func append(
        isPut: Bool,
        key: Span<UInt8>,
        value: Span<UInt8>
    ) throws(EngineError) {
        try batch.append(isPut: isPut, key: key, value: value)
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                overlay.insert(isPut ? .put : .delete, key: key, value: value)
            }
        }
        overlay.compact(batch)
    }

    // MARK: - Reads

    /// A key's value, as a copy.
    ///
    /// - Returns: `nil` when the key is absent, or deleted by the batch or before.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    @inlinable
    public func value<K: ByteSource & ~Copyable & ~Escapable>(
        for key: borrowing K
    ) throws(EngineError) -> [UInt8]? {
        try withValue(for: key) { $0.copied }
    }

    /// Calls a closure with a key's value, in place.
    ///
    /// - Returns: What the closure returns; `nil` when the key is absent or deleted.
    /// - Throws: As ``value(for:)``.
    @inlinable
    public func withValue<K: ByteSource & ~Copyable & ~Escapable, R>(
        for key: borrowing K,
        _ body: (Span<UInt8>) -> R
    ) throws(EngineError) -> R? {
        var result: R?
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try read(key) { result = body($0) }
        }
        return result
    }

    /// Whether a key has a value.
    ///
    /// - Throws: As ``value(for:)``.
    @inlinable
    public func contains<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K
    ) throws(EngineError) -> Bool {
        try withValue(for: key) { _ in true } ?? false
    }

    /// A cursor over the keys of a range, in order; it stands before the first one. It sees the
    /// batch and the store as they are now, whatever comes later.
    ///
    /// - Throws: As ``value(for:)``.
    public func cursor(in range: KeyRange = .all) throws(EngineError) -> Cursor {
        try engine.checkOpen()
        let snapshot = if let snapshot { snapshot } else { try engine.makeSnapshot() }
        return Cursor(snapshot, range, under: overlay.reading)
    }

    @usableFromInline
    func read(_ key: Span<UInt8>, _ body: (Span<UInt8>) -> Void) throws(EngineError) {
        try engine.checkOpen()
        switch key.withUnsafeBytes({ overlay.find($0) }) {
        case .value(let bytes):
            // The index holds it, and nobody changes the batch while it is read.
            body(Span(_unsafeElements: bytes.bindMemory(to: UInt8.self)))
        case .deleted: return
        case .untouched:
            guard let snapshot else { return try engine.read(key, body) }
            try snapshot.read(key, body)
        }
    }

    // MARK: - Write

    /// Commits the batch, all of it or nothing, and waits for an ack point; blocks the calling
    /// thread. The batch stays as it is.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As ``Engine/write(_:ack:)-(borrowing WriteBatch,_)``.
    @discardableResult
    public func write(ack: AckPoint = .disk) throws(EngineError) -> WriteReceipt {
        try engine.write(batch, ack: ack)
    }

    /// Commits the batch, all of it or nothing, and waits for an ack point; suspends meanwhile.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @discardableResult
    public func write(ack: AckPoint = .disk) async throws -> WriteReceipt {
        try await engine.write(batch, ack: ack)
    }
}
