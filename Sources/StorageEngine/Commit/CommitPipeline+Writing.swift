internal import CSystem

// How callers pass through the pipeline: blocking, suspending, and at the end.

extension CommitPipeline {
    typealias Result = (epoch: Epoch, sequence: UInt64, logHash: UInt64)

    // MARK: - Blocking

    /// Commits one operation and waits for its ack point.
    func write(
        _ kind: OperationKind,
        key: UnsafeRawBufferPointer,
        value: UnsafeRawBufferPointer,
        ack: AckPoint
    ) throws(EngineError) -> WriteReceipt {
        try WriteBatch.check(key: key, value: value)
        let room = OperationFormat.sizeMax(key: key.count, value: value.count)
        guard room <= Self.stackSizeMax else {
            var buffer = ByteBuffer(capacity: room)
            buffer.append(kind, key: key, value: value)
            return try write(buffer.bytes, ack: ack)
        }
        let result = withUnsafeTemporaryAllocation(byteCount: room, alignment: 8) { scratch in
            Swift.Result { () throws(EngineError) in
                let size = OperationFormat.encode(kind, key: key, value: value, to: scratch)
                return try write(
                    UnsafeRawBufferPointer(rebasing: scratch[..<size]),
                    ack: ack
                )
            }
        }
        return try result.get()
    }

    /// Operations up to this size are encoded on the stack.
    private static let stackSizeMax = 1024

    /// Commits encoded operations and waits for their ack point.
    func write(
        _ operations: UnsafeRawBufferPointer,
        ack: AckPoint
    ) throws(EngineError) -> WriteReceipt {
        let start = now
        let result = try write(PreparedWrite(operations), ack: ack)
        metrics.writes(ack).record(nanoseconds: now - start)
        return receipt(result, ack)
    }

    private func receipt(_ result: Result, _ ack: AckPoint) -> WriteReceipt {
        WriteReceipt(
            position: Position(
                epoch: result.epoch,
                sequence: result.sequence,
                logHash: result.logHash
            ),
            reached: ack,
            pipeline: self
        )
    }

    /// Commits a write and waits for its ack point; the thread does the work that nobody else does.
    private func write(_ write: PreparedWrite, ack: AckPoint) throws(EngineError) -> Result {
        lock.acquire()
        if let refusal {
            lock.release()
            throw refusal
        }
        let ticket = state.spareTickets.popLast() ?? Ticket()
        ticket.reset(write, ack: ack)
        state.queue.append(ticket)
        var maySpin = true
        while !ticket.isDone {
            if let work = takeCommit() {
                perform(unlocked: work)
            } else if maySpin {
                maySpin = false
                spin(for: ticket)
            } else {
                block(for: ticket)
            }
        }
        let outcome = ticket.outcome
        state.spareTickets.append(ticket)
        var failure: EngineError?
        if ack == .disk, case .done(let result) = outcome {
            failure = work(to: .disk, result.sequence)
        }
        lock.release()
        if let failure { throw failure }
        return try outcome.result()
    }

    /// Lets the lock go for about as long as an append takes: waking a blocked thread takes ten
    /// times that.
    private func spin(for ticket: Ticket) {
        lock.release()
        var round = 0
        while round < Self.spinRounds, !ticket.isDone {
            csystem_pause()
            round += 1
        }
        lock.acquire()
    }

    private static let spinRounds = 400

    private func block(for ticket: Ticket) {
        let condition = ticket.condition ?? Condition()
        ticket.condition = condition
        ticket.isBlocked = true
        condition.wait(lock)
        ticket.isBlocked = false
    }

    /// Waits until a sequence has reached a point; syncs for everybody when nobody else does.
    func wait(for sequence: UInt64, _ point: AckPoint) throws(EngineError) {
        lock.acquire()
        let failure = work(to: point, sequence)
        lock.release()
        if let failure { throw failure }
    }

    /// Brings a sequence to a point, by own work or by waiting for that of others, and returns why
    /// that failed. Needs the lock, and lets it go meanwhile.
    private func work(to point: AckPoint, _ sequence: UInt64) -> EngineError? {
        while !state.reached(point, sequence) {
            if let refusal = waitRefusal { return refusal }
            guard let work = takeWork(for: sequence, point) else { return block(sequence, point) }
            if case .failed(let error) = perform(unlocked: work) { return error }
        }
        return nil
    }

    /// Blocks until a sequence has reached a point, unless there is work to do meanwhile.
    private func block(_ sequence: UInt64, _ point: AckPoint) -> EngineError? {
        let waiter = Waiter(sequence: sequence, point: point)
        let condition = Condition()
        waiter.condition = condition
        state.waiters.append(waiter)
        while !waiter.isDone {
            if let work = takeWork(for: sequence, point) {
                perform(unlocked: work)
            } else {
                condition.wait(lock)
            }
        }
        return waiter.failure
    }

    /// What brings a sequence further: writing the buffer out first, then a sync.
    func takeWork(for sequence: UInt64, _ point: AckPoint) -> Work? {
        if state.appendedSequence < sequence { return takeFlush() }
        return point == .disk ? takeSync() : nil
    }

    @discardableResult
    private func perform(unlocked work: Work) -> Completion {
        lock.release()
        let completion = perform(work)
        lock.acquire()
        finish(work, completion)
        return completion
    }

    // MARK: - Suspending

    /// Starts a write whose caller can suspend. Does it at once, in the page cache, when nobody
    /// else writes; else the ticket owns a copy of the operations and is still to be enqueued.
    func begin(
        _ operations: UnsafeRawBufferPointer,
        ack: AckPoint
    ) throws(EngineError) -> Ticket {
        let write = PreparedWrite(operations)
        lock.acquire()
        defer { lock.release() }
        if let refusal { throw refusal }
        guard state.queue.isEmpty else { return Ticket(copying: write, ack: ack) }
        let ticket = Ticket()
        ticket.reset(write, ack: ack)
        state.queue.append(ticket)
        guard let work = takeCommit() else {
            state.queue.removeAll()
            return Ticket(copying: write, ack: ack)
        }
        perform(unlocked: work)
        return ticket
    }

    /// Waits until a write that was begun has reached its ack point.
    func end(_ ticket: Ticket, ack: AckPoint, since start: UInt64) async throws -> WriteReceipt {
        if !ticket.isDone {
            await withUnsafeContinuation { enqueue(ticket, $0) }
        }
        let result = try ticket.outcome.result()
        if ack == .disk { try await wait(for: result.sequence, .disk) }
        metrics.writes(ack).record(nanoseconds: now - start)
        return receipt(result, ack)
    }

    private func enqueue(_ ticket: Ticket, _ continuation: UnsafeContinuation<Void, Never>) {
        lock.acquire()
        defer { lock.release() }
        if let refusal {
            ticket.outcome = .failed(refusal)
            ticket.isDone = true
            continuation.resume()
            return
        }
        ticket.continuation = continuation
        state.queue.append(ticket)
        // The roles may have become free since; the log thread finds out.
        wakeLogThreadIfNeeded()
    }

    /// Waits until a sequence has reached a point.
    func wait(for sequence: UInt64, _ point: AckPoint) async throws(EngineError) {
        let waiter = Waiter(sequence: sequence, point: point)
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            lock.acquire()
            defer { lock.release() }
            waiter.failure = state.reached(point, sequence) ? nil : waitRefusal
            guard !state.reached(point, sequence), waiter.failure == nil else {
                continuation.resume()
                return
            }
            waiter.continuation = continuation
            state.waiters.append(waiter)
            if point == .disk { state.isSyncRequested = true }
            wakeLogThreadIfNeeded()
        }
        if let failure = waiter.failure { throw failure }
    }

    /// Waits until all that was sequenced so far is on disk.
    func sync() throws(EngineError) {
        try wait(for: lastPosition().sequence, .disk)
    }

    /// Waits until all that was sequenced so far is on disk.
    func sync() async throws(EngineError) {
        try await wait(for: lastPosition().sequence, .disk)
    }

    /// Where the history ends.
    func lastPosition() throws(EngineError) -> Position {
        lock.acquire()
        defer { lock.release() }
        if let refusal { throw refusal }
        return Position(
            epoch: state.epochs.last?.epoch ?? .none,
            sequence: state.lastSequence,
            logHash: nil
        )
    }

    /// Why a new write is refused, `nil` when it is not.
    private var refusal: EngineError? { state.phase == .open ? state.poison : .closed }

    /// Why waiting makes no sense, `nil` when it does.
    private var waitRefusal: EngineError? {
        if let poison = state.poison { return Self.indeterminate(poison) }
        return state.phase == .closed ? .closed : nil
    }

    // MARK: - End

    /// Lets those inside end, writes the buffer out, seals and syncs; afterwards everything is
    /// refused.
    ///
    /// - Returns: Where the log ends, `nil` when nothing was written, or somebody else closed it.
    func close() throws(EngineError) -> LogEnd? {
        lock.acquire()
        guard state.phase == .open else {
            while state.phase != .closed { closeCondition.wait(lock) }
            lock.release()
            return nil
        }
        state.phase = .closing
        while !state.isIdle { closeCondition.wait(lock) }
        state.isCommitTaken = true
        state.isAppendTaken = true
        state.isSyncTaken = true
        lock.release()
        do throws(EngineError) {
            let end = try finishLog()
            finishClosing(failure: nil)
            return end
        } catch {
            finishClosing(failure: error)
            throw error
        }
    }

    /// All roles are held here, and nobody is inside.
    private func finishLog() throws(EngineError) -> LogEnd? {
        defer { writer.abandon() }
        if let poison = state.poison { throw poison }
        let context = state.appendContext
        do throws(AppendFailure) {
            try writer.append(
                writing,
                active,
                syncedThrough: context.syncedThrough,
                epochs: context.epochs
            )
        } catch {
            throw error.error
        }
        let end = try writer.finish(syncedThrough: context.syncedThrough)
        if let next = state.ahead {
            state.ahead = nil
            try writer.discard(next)
        }
        while let finished = state.finished.popLast() { try finished.trim() }
        return end
    }

    private func finishClosing(failure: EngineError?) {
        lock.acquire()
        state.phase = .closed
        if failure == nil {
            state.appendedSequence = state.lastSequence
            state.syncedSequence = state.lastSequence
        }
        for waiter in state.waiters { waiter.failure = failure.map(Self.indeterminate) }
        let waiters = state.waiters
        state.waiters.removeAll()
        for waiter in waiters { settle(waiter) }
        closeCondition.broadcast()
        logThreadCondition.signal()
        lock.release()
    }

    /// Refuses everything from now on and lets the log thread end. Nobody is inside: whoever writes
    /// holds the engine. Who waits for a receipt learns nothing any more.
    func abandon() {
        finishClosing(failure: EngineError(.closed, "the engine was dropped without being closed"))
    }

    /// Closes the log file as it is, once the log thread has ended.
    func abandonFiles() { writer.abandon() }
}

extension Ticket.Outcome {
    /// The result, once it is known.
    func result() throws(EngineError) -> CommitPipeline.Result {
        switch self {
        case .done(let result): return result
        case .failed(let error): throw error
        case .pending: preconditionFailure("the ticket is done")
        }
    }
}
