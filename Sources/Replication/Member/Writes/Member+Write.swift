public import StorageEngine

/// Writes, as the leader.
extension Member {
    // MARK: Suspending

    /// Commits a batch, all of it or nothing, and waits for its own point and that of followers.
    ///
    /// A task that was cancelled before writes nothing; once the write has begun it completes, and
    /// the wait goes on. An empty batch writes nothing and waits for what was written before it.
    ///
    /// - Parameters:
    ///   - batch: The operations.
    ///   - ack: What the write must have reached in the leader's own store.
    ///   - replicas: How many followers must have it, and how far.
    ///   - sequence: The write's, when the store's clients choose them, see
    ///     ``Engine/write(_:sequence:ack:)-(borrowing WriteBatch,_,_)``.
    /// - Returns: What the write had reached.
    /// - Throws: ``ReplicationError``: `notLeader` and `tooManyFollowers` when nothing was written;
    ///   `indeterminate`, with what was reached, when too few followers had it in time or the
    ///   member stopped to lead; `store` when the leader's own store refused it;
    ///   `CancellationError`.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        ack: AckPoint = .disk,
        replicas: Requirement = .none,
        sequence: UInt64? = nil
    ) async throws -> ReplicatedReceipt {
        let mayGather = Self.mayGather(batch, ack, replicas)
        defer { if mayGather { gathering.leave() } }
        if mayGather, gathering.enter() {
            return try await writeWithOthers(batch, ack, replicas, sequence)
        }
        let engine = try leadingEngine(replicas)
        let (written, error) = await Self.commit(batch, ack, sequence, engine)
        guard let written else {
            if let error = error as? CancellationError { throw error }
            throw refusal(error)
        }
        if written.reached >= ack {
            // The lock is taken once.
            let outcome = await withCheckedContinuation { task in
                _ = enroll(written.position, ack, replicas) { task.resume(returning: $0) }
            }
            return try Self.result(outcome, written.position, ack)
        }
        let (ticket, pending) = enroll(written.position, ack, replicas)
        do {
            try await written.reached(ack.receiptPoint)
        } catch {
            throw indeterminate(written, ticket, error)
        }
        return try Self.result(await outcome(of: pending), written.position, ack)
    }

    private static func commit(
        _ batch: borrowing WriteBatch,
        _ ack: AckPoint,
        _ sequence: UInt64?,
        _ engine: Engine
    ) async -> (WriteReceipt?, (any Error)?) {
        do {
            if let sequence {
                let ack = min(ack, .wal)
                return (try await engine.write(batch, sequence: sequence, ack: ack), nil)
            }
            return (try await engine.write(batch, ack: min(ack, .wal)), nil)
        } catch {
            return (nil, error)
        }
    }

    private func outcome(of pending: PendingOutcome) async -> Outcome {
        await withCheckedContinuation { task in
            changing {
                notePoints()
                pending.tell { task.resume(returning: $0) }
            }
        }
    }

    /// Sets the value of a key, as a batch of one operation.
    ///
    /// - Throws: As ``write(_:ack:replicas:)-(_,_,_)``; `store` with code `invalidArgument` when
    ///   key or value exceed ``Limits``.
    @discardableResult
    public func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(
        _ value: borrowing V,
        for key: borrowing K,
        ack: AckPoint = .disk,
        replicas: Requirement = .none
    ) async throws -> ReplicatedReceipt {
        var batch = WriteBatch()
        try Self.storing { () throws(EngineError) in try batch.put(value, for: key) }
        return try await write(batch, ack: ack, replicas: replicas)
    }

    /// Removes a key, as a batch of one operation.
    ///
    /// - Throws: As ``write(_:ack:replicas:)-(_,_,_)``; `store` with code `invalidArgument` when
    ///   the key exceeds ``Limits``.
    @discardableResult
    public func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K,
        ack: AckPoint = .disk,
        replicas: Requirement = .none
    ) async throws -> ReplicatedReceipt {
        var batch = WriteBatch()
        try Self.storing { () throws(EngineError) in try batch.delete(key) }
        return try await write(batch, ack: ack, replicas: replicas)
    }

    // MARK: Blocking

    /// Commits a batch, all of it or nothing, and waits for its own point and that of followers;
    /// blocks the calling thread.
    ///
    /// - Returns: What the write had reached.
    /// - Throws: As the suspending form.
    @discardableResult
    public func write(
        _ batch: borrowing WriteBatch,
        ack: AckPoint = .disk,
        replicas: Requirement = .none,
        sequence: UInt64? = nil
    ) throws(ReplicationError) -> ReplicatedReceipt {
        let engine = try leadingEngine(replicas)
        let written: WriteReceipt
        do throws(EngineError) {
            if let sequence {
                written = try engine.write(batch, sequence: sequence, ack: min(ack, .wal))
            } else {
                written = try engine.write(batch, ack: min(ack, .wal))
            }
        } catch {
            throw refusal(error)
        }
        let (ticket, pending) = enroll(written.position, ack, replicas)
        do throws(EngineError) {
            try written.reached(ack.receiptPoint)
        } catch {
            throw indeterminate(written, ticket, error)
        }
        let outcome = lock.with {
            notePoints()
            return pending.block(lock)
        }
        return try Self.result(outcome, written.position, ack)
    }

    /// Sets the value of a key, as a batch of one operation; blocks the calling thread.
    ///
    /// - Throws: As the suspending form.
    @discardableResult
    public func put<
        K: ByteSource & ~Copyable & ~Escapable,
        V: ByteSource & ~Copyable & ~Escapable
    >(
        _ value: borrowing V,
        for key: borrowing K,
        ack: AckPoint = .disk,
        replicas: Requirement = .none
    ) throws(ReplicationError) -> ReplicatedReceipt {
        var batch = WriteBatch()
        try Self.storing { () throws(EngineError) in try batch.put(value, for: key) }
        return try write(batch, ack: ack, replicas: replicas)
    }

    /// Removes a key, as a batch of one operation; blocks the calling thread.
    ///
    /// - Throws: As the suspending form.
    @discardableResult
    public func delete<K: ByteSource & ~Copyable & ~Escapable>(
        _ key: borrowing K,
        ack: AckPoint = .disk,
        replicas: Requirement = .none
    ) throws(ReplicationError) -> ReplicatedReceipt {
        var batch = WriteBatch()
        try Self.storing { () throws(EngineError) in try batch.delete(key) }
        return try write(batch, ack: ack, replicas: replicas)
    }

    // MARK: Steps

    private static func storing(
        _ body: () throws(EngineError) -> Void
    ) throws(ReplicationError) {
        do throws(EngineError) { try body() } catch { throw .store(error) }
    }

    /// The store, when the member leads and the requirement can be met at all.
    private func leadingEngine(_ replicas: Requirement) throws(ReplicationError) -> Engine {
        try lock.with { () throws(ReplicationError) in try admit(replicas) }
    }

    /// The store, when the member leads and the requirement can be met at all. Needs the lock.
    func admit(_ replicas: Requirement) throws(ReplicationError) -> Engine {
        guard state.phase == .open else { throw .store(.closed) }
        guard state.core.admits(replicas) else {
            throw .tooManyFollowers(
                asked: replicas.count(of: membership),
                configured: membership.followersMax
            )
        }
        if let failure = state.failure { throw .store(failure) }
        guard state.leading != nil, let engine = state.engine else { throw notLeader }
        if replicas.waitsForDisks { noteDiskAwaited() }
        return engine
    }

    /// Needs the lock.
    private var notLeader: ReplicationError {
        let holder = state.core.mark.holder
        return .notLeader(hint: holder == id ? nil : holder)
    }

    func refusal(_ error: (any Error)?) -> ReplicationError {
        guard let error = error as? EngineError else { return .store(.closed) }
        return lock.with {
            if error.code == .notLeader { return notLeader }
            noteFailure()
            return .store(error)
        }
    }

    /// Tells the core of a record and of who waits for it: a receiver, or whoever asks for the
    /// outcome later.
    func enroll(
        _ position: Position,
        _ ack: AckPoint,
        _ replicas: Requirement,
        receiver: (@Sendable (Outcome) -> Void)? = nil
    ) -> (ticket: UInt64, PendingOutcome) {
        let pending = PendingOutcome()
        let ticket = changing {
            // Who is alone can do no better than hand out the record itself.
            if state.tickets.isEmpty, replicas != .none { state.helped = feed.jobs }
            defer { state.helped = nil }
            noteWritten(position)
            defer { if let receiver { pending.tell(receiver) } }
            return enter(position, ack, replicas, pending)
        }
        return (ticket, pending)
    }

    /// Tells the core of a record that the store has made. Needs the lock.
    func noteWritten(_ position: Position) {
        guard leads(position) else { return }
        noteAppended(position)
        notePoints()
    }

    /// Tells the core of somebody who waits for a record that it knows of; returns the ticket.
    /// Needs the lock.
    func enter(
        _ position: Position,
        _ ack: AckPoint,
        _ replicas: Requirement,
        _ pending: PendingOutcome
    ) -> UInt64 {
        let ticket = state.addTicket(pending)
        guard leads(position) else {
            state.tickets[ticket] = nil
            state.settle(pending, .lost(position))
            return ticket
        }
        let write = Write(
            ticket: ticket,
            sequence: position.sequence,
            local: ack,
            requirement: replicas
        )
        give(.write(write))
        return ticket
    }

    /// Whether the member leads in the term in which a record was made. Needs the lock.
    private func leads(_ position: Position) -> Bool {
        guard state.phase == .open, !state.isRestarting, let leadership = state.core.leadership
        else { return false }
        return position.epoch.number <= leadership.epoch.number
            && position.epoch.term == leadership.epoch.term
    }

    private func indeterminate(
        _ written: WriteReceipt,
        _ ticket: UInt64,
        _ error: EngineError
    ) -> ReplicationError {
        lock.with {
            state.tickets[ticket] = nil
            noteFailure()
        }
        let receipt = ReplicatedReceipt(
            position: written.position,
            local: written.reached,
            nil
        )
        return .indeterminate(receipt, .store(error))
    }

    static func result(
        _ outcome: Outcome,
        _ position: Position,
        _ ack: AckPoint
    ) throws(ReplicationError) -> ReplicatedReceipt {
        switch outcome {
        case .acked(let receipt):
            return ReplicatedReceipt(position: position, local: ack, receipt)
        case .indeterminate(let receipt, let doubt):
            let reason: ReplicationError.Reason =
                doubt == .tooFewFollowers ? .tooFewFollowers : .noLongerLeading
            throw .indeterminate(
                ReplicatedReceipt(position: position, local: ack, receipt),
                reason
            )
        }
    }
}

extension Outcome {
    /// Of a write whose leader was replaced before the core heard of it.
    fileprivate static func lost(_ position: Position) -> Outcome {
        let receipt = ReplicaReceipt(
            epoch: position.epoch,
            sequence: position.sequence,
            local: nil,
            followers: [],
            isDegraded: false
        )
        return .indeterminate(receipt, .noLongerLeading)
    }
}

extension AckPoint {
    fileprivate var receiptPoint: ReceiptPoint {
        switch self {
        case .memory: .memory
        case .wal: .wal
        case .disk: .disk
        }
    }
}

extension Requirement {
    /// Whether it is about what followers have on disk.
    fileprivate var waitsForDisks: Bool {
        switch self {
        case .none: false
        case .followers(_, let point), .allFollowers(let point): point == .disk
        }
    }

    /// How many followers are asked for.
    fileprivate func count(of membership: Membership) -> Int {
        switch self {
        case .none: 0
        case .followers(let count, _): count
        case .allFollowers: membership.followersMax
        }
    }
}
