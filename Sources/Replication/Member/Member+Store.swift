internal import StorageEngine

// The jobs of the store and of the mark, without the lock, each kind one after the other.

extension Member {
    // MARK: The mark

    /// Makes a mark durable; the actions behind it are begun then. A disk that fails is tried
    /// again: nothing may be said before, and whoever waits for the member is told.
    func persist(_ mark: Mark, _ life: UInt64) {
        while true {
            do throws(EngineError) {
                try persist(mark)
                break
            } catch {
                broadcast.send(.storeFailed(error))
                lock.with { note(error, life) }
                guard pause(milliseconds: 500) else { return }
            }
        }
        lock.with {
            guard life == state.life else { return }
            note(nil, life)
            state.isPersisting = false
            beginActions()
        }
    }

    /// Notes whether the mark can be written. Needs the lock.
    private func note(_ failure: EngineError?, _ life: UInt64) {
        guard life == state.life, !state.isRestarting else { return }
        state.failure = failure
        changed.broadcast()
    }

    private func persist(_ mark: Mark) throws(EngineError) {
        let (record, hasStore) = lock.with {
            var record = state.record
            record.mark = mark
            record.closed = nil
            return (record, state.record.storeNumber > 0)
        }
        guard let history = mark.history, !hasStore else { return try keep(record) }
        // The member has a history from now on, and so it needs a store.
        var first = record
        first.storeNumber = 1
        first.mark.history = history
        do throws(EngineError) {
            try keep(first)
            let engine = try openFirst(&first)
            lock.with {
                state.engine = engine
                state.incoming = IncomingCopy(directory: directory, number: first.storeNumber + 1)
            }
        } catch {
            // There is none yet, whatever MEMBER says: the next attempt makes it.
            lock.with { state.record.storeNumber = 0 }
            throw error
        }
    }

    /// Makes the member's first store, and has MEMBER name it.
    private func openFirst(_ record: inout MemberRecord) throws(EngineError) -> Engine {
        let engine = try MemberOpening.openStore(record, in: directory, options, environment)
        record.storeID = engine.memberID
        do throws(EngineError) {
            try keep(record)
        } catch {
            engine.abandon()
            throw error
        }
        return engine
    }

    private func keep(_ record: MemberRecord) throws(EngineError) {
        try MemberFile.write(record, in: directory)
        lock.with { state.record = record }
    }

    /// Changes what MEMBER holds besides the mark, from a job of the store; waits until that is
    /// durable.
    func update(
        _ change: @escaping @Sendable (inout MemberRecord) -> Void
    ) throws(EngineError) {
        let answer = JobAnswer<Void>()
        markJobs.submit { [self] in
            answer.settle(
                Result { () throws(EngineError) in
                    var record = lock.with { state.record }
                    change(&record)
                    try keep(record)
                }
            )
        }
        try answer.wait { lock.with { state.phase != .open } }
    }

    // MARK: Actions

    func perform(_ action: CoreAction, _ life: UInt64) {
        switch action {
        case .cut(let end, let generation): cut(to: end, generation, life)
        case .storePart(let part, let offer): store(part, of: offer, life)
        case .adoptCopy(let offer, let generation): adopt(offer, generation, life)
        default: preconditionFailure("no action of the store")
        }
    }

    /// Takes in records; returns whether that is over. Who must not wait leaves it to the store's
    /// own thread when something is in the way.
    func apply(_ pack: Pack, _ generation: UInt64, _ life: UInt64, mayWait: Bool) -> Bool {
        let (records, engine) = lock.with { () -> (RecordBatch?, Engine?) in
            guard case .records(let records)? = state.payloads[pack.payload],
                life == state.life, generation == state.generation
            else { return (nil, nil) }
            return (records, state.engine)
        }
        var failure: EngineError?
        do throws(EngineError) {
            if let records, try !apply(records, to: engine, mayWait: mayWait) { return false }
        } catch {
            guard mayWait || !error.passes else { return false }
            failure = error
        }
        changing {
            state.payloads[pack.payload] = nil
            guard records != nil, life == state.life else { return }
            if let failure { return restart(for: failure) }
            notePoints()
            if !state.core.sessions.isEmpty { readParked(life) }
            if pack.isAwaitedOnDisk { queueSync() }
        }
        return true
    }

    private func apply(
        _ records: RecordBatch,
        to engine: Engine?,
        mayWait: Bool
    ) throws(EngineError) -> Bool {
        guard let engine else { throw .closed }
        guard mayWait else { return try engine.applyAtOnce(records) }
        try retrying { () throws(EngineError) in try engine.apply(records) }
        return true
    }

    /// Has what is in the log brought to disk. Needs the lock.
    func queueSync() {
        guard !state.isSyncQueued else { return }
        state.isSyncQueued = true
        let life = state.life
        begin(in: syncJobs) { [self] _ in
            sync(life)
            return true
        }
    }

    /// Brings to disk what is in the log.
    private func sync(_ life: UInt64) {
        let (engine, sequence) = lock.with {
            state.isSyncQueued = false
            return (state.engine, state.points?.appended ?? 0)
        }
        guard let engine else { return }
        do throws(EngineError) {
            try engine.wait(for: sequence, .disk)
        } catch {
            // A log that failed is found by the next tick; a store that was replaced is closed.
            return
        }
        changing { if life == state.life { notePoints() } }
    }

    // MARK: Leading

    /// Makes the store accept writes.
    func lead(_ leadership: Leadership, _ life: UInt64) {
        lock.acquire()
        defer { lock.release() }
        takeRole()
        defer { giveRoleBack() }
        guard life == state.life, state.core.leadership == leadership, state.leading == nil,
            state.phase == .open, let engine = state.engine
        else { return }
        lock.release()
        let result = Result { () throws(EngineError) in
            let end = try engine.history().end
            guard end.epoch == leadership.epoch || Tail(end) == leadership.foundation else {
                throw EngineError(.diverged, "leading: the log does not end at the foundation")
            }
            try engine.lead(leadership.epoch)
        }
        lock.acquire()
        guard life == state.life else { return }
        switch result {
        case .success:
            state.leading = leadership
            settlePromotion()
            broadcast.send(.leading(leadership.epoch))
        case .failure(let error): restart(for: error)
        }
    }

    func appendNoOp(_ life: UInt64) {
        guard let engine = lock.with({ state.leading == nil ? nil : state.engine }) else { return }
        do throws(EngineError) {
            let receipt = try engine.writeNoOp(ack: .memory)
            lock.with {
                guard life == state.life else { return }
                noteAppended(receipt.position)
                notePoints()
            }
        } catch {
            // It does not lead any more, or the log has failed, which the next tick finds.
        }
    }

    // MARK: Other logs

    private func cut(to end: Tail, _ generation: UInt64, _ life: UInt64) {
        guard let engine = takeEngine(life) else { return }
        do throws(EngineError) {
            try engine.closeWithoutFlush()
            copyJobs.submit { [self] in copies.removeAll() }
            let result = try cutLog(to: end)
            let opened = try openStore()
            lock.with {
                guard life == state.life else { return }
                put(opened, generation)
                give(.cut(result, generation: generation))
            }
        } catch {
            lock.with { if life == state.life { restart(for: error) } }
        }
    }

    private func cutLog(to end: Tail) throws(EngineError) -> CutResult {
        let record = lock.with { state.record }
        let name = MemberDirectory.store(record.storeNumber)
        do throws(EngineError) {
            let report = try Engine.cutBack(
                at: "\(directory.path)/\(name)",
                to: end.position,
                options: options.engine,
                environment: environment
            )
            guard Tail(report.position) == end else { return .diverged }
            return .done(Watermarks(all: end.sequence))
        } catch {
            switch error.code {
            case .copyNeeded, .trimmed: return .impossible
            case .diverged: return .diverged
            default: throw error
            }
        }
    }

    private func store(_ part: CopyPart, of offer: CopyOffer, _ life: UInt64) {
        let payload = lock.with { state.payloads.removeValue(forKey: part.payload) }
        guard case .bytes(let bytes)? = payload else { return }
        do throws(EngineError) {
            try retrying { () throws(EngineError) in
                try incoming.take(bytes, index: part.index, of: offer)
            }
        } catch {
            incoming.discard()
            return lock.with { if life == state.life { restart(for: error) } }
        }
        lock.with { if life == state.life { give(.partStored(part)) } }
    }

    /// Where a copy is put together. Belongs to the jobs of the store.
    private var incoming: IncomingCopy { lock.with { state.incoming } }

    /// Takes the store out of use.
    func takeEngine(_ life: UInt64) -> Engine? {
        lock.with {
            guard life == state.life else { return nil }
            changed.broadcast()
            return state.engine.take()
        }
    }

    func openStore() throws(EngineError) -> Engine {
        let record = lock.with { state.record }
        return try MemberOpening.openStore(record, in: directory, options, environment)
    }

    /// Puts a store into use that is on another line of the log. Needs the lock.
    func put(_ engine: Engine, _ generation: UInt64) {
        state.engine = engine
        state.generation = generation
        state.points = engine.logPoints
        changed.broadcast()
    }
}

extension Tail {
    /// The place that a store names.
    init(_ position: Position) {
        let hash = position.sequence > 0 ? position.logHash ?? 0 : 0
        self.init(
            epoch: position.sequence > 0 ? position.epoch : .none,
            sequence: position.sequence,
            logHash: hash
        )
    }
}
