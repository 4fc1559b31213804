/// A view of the store at one moment.
///
/// It registers its sequence, so that what it sees is kept, until the last reference is dropped. It
/// outlives the engine's ``Engine/close()``, but then only throws `closed`.
///
/// Thread safety: every method may be called from any thread.
public final class Snapshot: Sendable {
    /// The last write that the snapshot sees.
    public let sequence: UInt64
    let engine: Engine

    init(_ engine: Engine) {
        self.engine = engine
        sequence = engine.readState.registerSnapshot()
    }

    deinit { engine.readState.snapshots.release(sequence) }

    /// A key's value, as a copy.
    ///
    /// - Returns: `nil` when the key was absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    @inlinable
    public func value<K: ByteSource & ~Copyable & ~Escapable>(
        for key: borrowing K
    ) throws(EngineError) -> [UInt8]? {
        try withValue(for: key) { $0.copied }
    }

    /// Calls a closure with a key's value, in place: nothing is copied or allocated.
    ///
    /// - Returns: What the closure returns; `nil` when the key was absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
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

    /// Whether a key had a value.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    @inlinable
    public func contains<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K
    ) throws(EngineError) -> Bool {
        try withValue(for: key) { _ in true } ?? false
    }

    /// The values of several keys.
    ///
    /// - Returns: One element a key, in order; `nil` where the key was absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func values<K: ByteSource>(for keys: [K]) throws(EngineError) -> [[UInt8]?] {
        var values: [[UInt8]?] = []
        values.reserveCapacity(keys.count)
        for key in keys { values.append(try value(for: key)) }
        return values
    }

    /// A cursor over the keys of a range, in order; it stands before the first one.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func cursor(in range: KeyRange = .all) throws(EngineError) -> Cursor {
        try engine.checkOpen()
        return Cursor(self, range)
    }

    /// Calls a closure with a key's value, if it had one.
    @usableFromInline
    func read(_ key: Span<UInt8>, _ body: (Span<UInt8>) -> Void) throws(EngineError) {
        try engine.checkOpen()
        try key.withUnsafeBytes { key throws(EngineError) in
            try engine.readState.value(key, at: sequence).read(body)
        }
    }
}
