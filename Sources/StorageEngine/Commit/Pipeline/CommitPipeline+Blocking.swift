internal import CEngineSystem

// How a thread passes through the pipeline: it does the work it finds, and blocks for the rest.

extension CommitPipeline {
    typealias Result = (epoch: Epoch, sequence: UInt64, logHash: UInt64)

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
        wanting sequence: UInt64? = nil,
        ack: AckPoint
    ) throws(EngineError) -> WriteReceipt {
        let start = now
        let result = try write(PreparedWrite(operations, wanted: sequence), ack: ack)
        metrics.writes(ack).record(nanoseconds: now - start)
        return receipt(result, ack)
    }

    /// Commits a record without operations and waits for its ack point.
    func writeNoOp(ack: AckPoint) throws(EngineError) -> WriteReceipt {
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        return receipt(try write(PreparedWrite(nothing, kind: .noOp), ack: ack), ack)
    }

    func receipt(_ result: Result, _ ack: AckPoint) -> WriteReceipt {
        WriteReceipt(position: Position(result), reached: ack, pipeline: self)
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
        ticket.forget()
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

    func block(for ticket: Ticket) {
        let condition = ticket.condition ?? Condition()
        ticket.condition = condition
        ticket.isBlocked = true
        if state.commitTime > 0, !state.isCommitTaken {
            condition.wait(lock, until: state.commitTime)
        } else {
            condition.wait(lock)
        }
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
    func work(to point: AckPoint, _ sequence: UInt64) -> EngineError? {
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
    func perform(unlocked work: Work) -> Completion {
        lock.release()
        let completion = perform(work)
        lock.acquire()
        finish(work, completion)
        return completion
    }
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
