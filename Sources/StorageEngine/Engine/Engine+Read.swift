extension Engine {
    /// The newest value of a key, as a copy that outlives the engine.
    ///
    /// Never waits for a writer or a sync.
    ///
    /// - Returns: `nil` when the key is absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    @inlinable
    public func value<K: ByteSource & ~Copyable & ~Escapable>(
        for key: borrowing K
    ) throws(EngineError) -> [UInt8]? {
        try withValue(for: key) { $0.copied }
    }

    /// Calls a closure with the newest value of a key, in place: nothing is copied or allocated.
    ///
    /// - Parameters:
    ///   - key: The key to look up.
    ///   - body: Gets the value, which is valid until it returns.
    /// - Returns: What the closure returns; `nil` when the key is absent or deleted.
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

    /// The newest value of a key, as a copy that outlives the engine. What is in memory or in the
    /// cache is answered in place; for anything else the task suspends, and a read thread of the
    /// engine goes to the file.
    ///
    /// - Returns: `nil` when the key is absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func value<K: ByteSource & ~Copyable & ~Escapable>(
        for key: borrowing K
    ) async throws(EngineError) -> [UInt8]? {
        switch try key.withBytes({ (key: Span<UInt8>) throws(EngineError) in try cached(key) }) {
        case .value(let value): return value
        case .absent: return nil
        case .notCached(let key):
            return try await readThreads.run { [self] () throws(EngineError) in
                try value(for: key)
            }
        }
    }

    /// What memory and cache know of a key.
    private enum Cached {
        case value([UInt8])
        case absent
        /// Nothing; the key is copied for who goes to the file.
        case notCached(key: [UInt8])
    }

    private func cached(_ key: Span<UInt8>) throws(EngineError) -> Cached {
        try checkOpen()
        let found = key.withUnsafeBytes { bytes in
            Result { () throws(EngineError) -> Cached in
                switch try readState.latest(bytes, .cacheOnly) {
                case .found(let value): .value(Array(value.bytes))
                case .absent: .absent
                case .notCached: .notCached(key: Array(bytes))
                }
            }
        }
        return try found.get()
    }

    /// Whether a key has a value.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    @inlinable
    public func contains<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K
    ) throws(EngineError) -> Bool {
        try withValue(for: key) { _ in true } ?? false
    }

    /// The values of several keys, all as of one moment.
    ///
    /// - Returns: One element a key, in order; `nil` where the key is absent or deleted.
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func values<K: ByteSource>(for keys: [K]) throws(EngineError) -> [[UInt8]?] {
        try makeSnapshot().values(for: keys)
    }

    /// A view of the store as it is now, which later writes do not change.
    ///
    /// The store keeps what the snapshot sees until it is released, so do not hold one for long.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `io` or `closed`.
    public func makeSnapshot() throws(EngineError) -> Snapshot {
        try checkOpen()
        return Snapshot(self)
    }

    /// Calls a closure with a snapshot of this moment.
    ///
    /// - Returns: What the closure returns.
    /// - Throws: ``EngineError`` with code `closed`, or what the closure throws.
    public func read<R>(_ body: (Snapshot) throws -> R) throws -> R {
        try body(makeSnapshot())
    }

    /// Calls a closure with a snapshot of this moment, on a thread where it may block; suspends.
    ///
    /// - Returns: What the closure returns.
    /// - Throws: ``EngineError`` with code `closed`, or what the closure throws.
    public func read<R: Sendable>(
        _ body: @escaping @Sendable (Snapshot) throws -> R
    ) async throws -> R {
        let snapshot = try makeSnapshot()
        return try await readThreads.run { () throws(any Error) in try body(snapshot) }
    }

    /// Calls a closure with the newest value of a key, if it has one.
    @usableFromInline
    func read(_ key: Span<UInt8>, _ body: (Span<UInt8>) -> Void) throws(EngineError) {
        try checkOpen()
        try key.withUnsafeBytes { key throws(EngineError) in
            try readState.latest(key).read(body)
        }
    }
}

extension Span where Element == UInt8 {
    /// The bytes as an array of their own.
    @usableFromInline
    var copied: [UInt8] {
        withUnsafeBufferPointer { source in Array(source) }
    }
}
