// How a task passes through the pipeline: it appends in place when nobody else does, and suspends
// for everything else.

extension CommitPipeline {
    /// Starts a write whose caller can suspend. Does it at once, in the page cache, when nobody
    /// else writes; else the ticket owns a copy of the operations and is still to be enqueued.
    func begin(
        _ operations: UnsafeRawBufferPointer,
        wanting sequence: UInt64? = nil,
        ack: AckPoint
    ) throws(EngineError) -> Ticket {
        let write = PreparedWrite(operations, wanted: sequence)
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

    /// Commits writes that were gathered, and waits until the outcome of each is known: at once, in
    /// the page cache, when nobody else writes.
    func commitGathered(_ writes: [GatheredWrite]) async {
        let tickets = writes.map(\.ticket)
        begin(tickets)
        // With the last one nearly always all are done.
        for ticket in tickets.reversed() where !ticket.isDone {
            await withUnsafeContinuation { leave(ticket, to: $0) }
        }
        let end = now
        for write in writes {
            guard case .done = write.ticket.outcome else { continue }
            metrics.writes(write.ticket.ack).record(nanoseconds: end - write.start)
        }
    }

    /// Enqueues gathered writes, and does what can be done of them without waiting.
    private func begin(_ tickets: [Ticket]) {
        lock.acquire()
        defer { lock.release() }
        if let refusal {
            for ticket in tickets {
                ticket.outcome = .failed(refusal)
                settle(ticket)
            }
            return
        }
        state.queue += tickets
        while !tickets.allSatisfy(\.isDone), let work = takeCommit() { perform(unlocked: work) }
    }

    /// Leaves a write that is enqueued to the log thread, unless it is done.
    private func leave(_ ticket: Ticket, to continuation: UnsafeContinuation<Void, Never>) {
        lock.with {
            guard !ticket.isDone else { return continuation.resume() }
            ticket.continuation = continuation
            wakeLogThreadIfNeeded()
        }
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
        if let endRefusal { throw endRefusal }
        return Position(
            epoch: state.epochs.last?.epoch ?? .none,
            sequence: state.lastSequence,
            logHash: nil
        )
    }
}
