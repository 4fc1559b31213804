extension Engine {
    /// Commits a batch, all of it or nothing, and waits for an ack point; blocks the calling
    /// thread.
    ///
    /// An empty batch writes nothing and waits for what was written before it.
    ///
    /// - Parameters:
    ///   - batch: The operations.
    ///   - ack: When the write counts as done.
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: ``EngineError`` with code `indeterminate` when the write may or may not be there
    ///   after a restart; `noSpace`, `poisoned`, `readOnly` or `closed` when it is not there.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        ack: AckPoint = .disk
    ) throws(EngineError) -> WriteReceipt {
        let pipeline = try writable()
        guard !batch.isEmpty else { return try waitForLast(pipeline, ack: ack) }
        return try batch.withOperations { operations throws(EngineError) in
            try pipeline.write(operations, ack: ack)
        }
    }

    /// Commits a batch, all of it or nothing, and waits for an ack point; suspends meanwhile.
    ///
    /// A task that was cancelled before throws `CancellationError`, and nothing is written; once
    /// the write has begun it completes. When nobody else is writing, the batch is sequenced and
    /// copied into the page cache in place, without suspending.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        ack: AckPoint = .disk
    ) async throws -> WriteReceipt {
        try Task.checkCancellation()
        let pipeline = try writable()
        guard !batch.isEmpty else { return try await waitForLast(pipeline, ack: ack) }
        let started = pipeline.now
        let ticket = try batch.withOperations { operations throws(EngineError) in
            try pipeline.begin(operations, ack: ack)
        }
        return try await pipeline.end(ticket, ack: ack, since: started)
    }

    /// Sets the value of a key; a batch of one operation. Blocks the calling thread.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As ``write(_:ack:)-(borrowing WriteBatch,_)``; `invalidArgument` when key or value
    ///   exceed ``Limits``.
    @inlinable
    @discardableResult
    public func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(
        _ value: borrowing V,
        for key: borrowing K,
        ack: AckPoint = .disk
    ) throws(EngineError) -> WriteReceipt {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try value.withBytes { (value: Span<UInt8>) throws(EngineError) in
                try write(isPut: true, key: key, value: value, ack: ack)
            }
        }
    }

    /// Removes a key, whether it exists or not; a batch of one operation. Blocks the calling
    /// thread.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As ``write(_:ack:)-(borrowing WriteBatch,_)``; `invalidArgument` when the key
    ///   exceeds ``Limits``.
    @inlinable
    @discardableResult
    public func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K,
        ack: AckPoint = .disk
    ) throws(EngineError) -> WriteReceipt {
        try key.withBytes { (key: Span<UInt8>) throws(EngineError) in
            try write(isPut: false, key: key, value: Span(), ack: ack)
        }
    }

    /// Removes every key in a range; a batch of one operation. Blocks the calling thread.
    ///
    /// It costs one small record, however many keys there are. Writes that come later are not
    /// touched. An empty range writes nothing and waits for what was written before it.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As ``write(_:ack:)-(borrowing WriteBatch,_)``; `invalidArgument` when a bound
    ///   exceeds ``Limits``.
    @discardableResult
    public func deleteRange(
        _ range: KeyRange,
        ack: AckPoint = .disk
    ) throws(EngineError) -> WriteReceipt {
        var batch = WriteBatch()
        try batch.deleteRange(range)
        return try write(batch, ack: ack)
    }

    /// Sets the value of a key; a batch of one operation. Suspends meanwhile.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @inlinable
    @discardableResult
    public func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(
        _ value: borrowing V,
        for key: borrowing K,
        ack: AckPoint = .disk
    ) async throws -> WriteReceipt {
        var batch = WriteBatch()
        try batch.put(value, for: key)
        return try await write(batch, ack: ack)
    }

    /// Removes a key, whether it exists or not; a batch of one operation. Suspends meanwhile.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @inlinable
    @discardableResult
    public func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K,
        ack: AckPoint = .disk
    ) async throws -> WriteReceipt {
        var batch = WriteBatch()
        try batch.delete(key)
        return try await write(batch, ack: ack)
    }

    /// Removes every key in a range; a batch of one operation. Suspends meanwhile.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @discardableResult
    public func deleteRange(
        _ range: KeyRange,
        ack: AckPoint = .disk
    ) async throws -> WriteReceipt {
        var batch = WriteBatch()
        try batch.deleteRange(range)
        return try await write(batch, ack: ack)
    }

    /// Waits until everything written so far is on disk; blocks the calling thread.
    ///
    /// - Throws: ``EngineError`` with code `indeterminate`, `noSpace`, `poisoned`, `readOnly` or
    ///   `closed`.
    public func sync() throws(EngineError) { try writable().sync() }

    /// Waits until everything written so far is on disk; suspends meanwhile.
    ///
    /// - Throws: As the blocking form.
    public func sync() async throws(EngineError) { try await writable().sync() }

    @usableFromInline
    func write(
        isPut: Bool,
        key: Span<UInt8>,
        value: Span<UInt8>,
        ack: AckPoint
    ) throws(EngineError) -> WriteReceipt {
        let pipeline = try writable()
        let result = key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                Result { () throws(EngineError) in
                    try pipeline.write(isPut ? .put : .delete, key: key, value: value, ack: ack)
                }
            }
        }
        return try result.get()
    }

    func writable() throws(EngineError) -> CommitPipeline {
        try checkOpen()
        guard let pipeline else {
            throw EngineError(.readOnly, "the engine was opened read-only")
        }
        return pipeline
    }

    private func waitForLast(
        _ pipeline: CommitPipeline,
        ack: AckPoint
    ) throws(EngineError) -> WriteReceipt {
        let position = try pipeline.lastPosition()
        try pipeline.wait(for: position.sequence, ack)
        return WriteReceipt(position: position, reached: ack, pipeline: pipeline)
    }

    private func waitForLast(
        _ pipeline: CommitPipeline,
        ack: AckPoint
    ) async throws(EngineError) -> WriteReceipt {
        let position = try pipeline.lastPosition()
        try await pipeline.wait(for: position.sequence, ack)
        return WriteReceipt(position: position, reached: ack, pipeline: pipeline)
    }
}

/// Writes at sequences of the caller's own (``SequencePolicy/client``).
extension Engine {
    /// Commits a batch at a sequence, all of it or nothing, and waits for an ack point; blocks the
    /// calling thread.
    ///
    /// - Parameters:
    ///   - batch: The operations; not empty.
    ///   - sequence: Above that of every write before, at most 2⁶².
    ///   - ack: When the write counts as done.
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As ``write(_:ack:)-(borrowing WriteBatch,_)``; `invalidArgument`, with the last
    ///   sequence, when this one is not above it, or the store chooses its own.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        sequence: UInt64,
        ack: AckPoint = .disk
    ) throws(EngineError) -> WriteReceipt {
        let pipeline = try writable()
        guard !batch.isEmpty else { throw Self.emptyBatch }
        return try batch.withOperations { operations throws(EngineError) in
            try pipeline.write(operations, wanting: sequence, ack: ack)
        }
    }

    /// Commits a batch at a sequence, all of it or nothing, and waits for an ack point; suspends
    /// meanwhile.
    ///
    /// - Returns: The write's position, and what it had reached.
    /// - Throws: As the blocking form; `CancellationError`.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        sequence: UInt64,
        ack: AckPoint = .disk
    ) async throws -> WriteReceipt {
        try Task.checkCancellation()
        let pipeline = try writable()
        guard !batch.isEmpty else { throw Self.emptyBatch }
        let started = pipeline.now
        let ticket = try batch.withOperations { operations throws(EngineError) in
            try pipeline.begin(operations, wanting: sequence, ack: ack)
        }
        return try await pipeline.end(ticket, ack: ack, since: started)
    }

    private static let emptyBatch = EngineError.invalidArgument(
        "an empty batch has no place in the history"
    )
}
