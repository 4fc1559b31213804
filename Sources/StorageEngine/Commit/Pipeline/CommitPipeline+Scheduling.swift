internal import Logging
internal import Synchronization

// Who does what next, and what follows from what was done. Everything here runs under the lock, and
// is free of I/O and waiting. See `CommitPipeline.swift` for the rules.

extension CommitPipeline {
    /// A group holds at most this many bytes of operations, or one write.
    var groupSizeMax: Int { min(1 << 20, Int(clamping: limits.logFileSize / 8)) }
    /// The log thread syncs behind the writers at least this often.
    static let syncDistance: UInt64 = 1 << 20
    /// After a sync with nothing behind it for this long, a marker proves the last record.
    static let markerDelay: UInt64 = 50_000_000
    /// How long a refused append or a failed preallocation waits before it is tried again.
    private static let retryDelay: UInt64 = 20_000_000

    private static let makingAhead = "making the next log file"
    private static let writingBuffer = "writing the log buffer"

    // MARK: - Take

    /// Takes the next group of writes, `nil` when none can be sequenced now.
    func takeCommit() -> Work? {
        guard !state.isCommitTaken, !state.queue.isEmpty, state.poison == nil, mayCommit,
            state.boundaryWaiterCount == 0
        else { return nil }
        let room = max(0, limits.memoryWindow - state.bufferedSize)
        return state.canAppend ? takeAny(room: room) : takeMemoryOnly(room: room)
    }

    private func takeAny(room: Int) -> Work {
        var count = 0
        var size = 0
        var appends = false
        let sizeMax = groupSizeMax
        for ticket in state.queue {
            guard count == 0 || size + ticket.size <= sizeMax else { break }
            size += ticket.size
            appends = appends || ticket.ack > .memory
            count += 1
        }
        takeTickets(count)
        if size > room { appends = true }
        state.isCommitTaken = true
        if appends { state.isAppendTaken = true }
        return .commit(CommitGroup(append: appends ? state.appendContext : nil, room: room))
    }

    /// Moves the first tickets of the queue to the group; both arrays keep their memory.
    private func takeTickets(_ count: Int) {
        precondition(group.isEmpty)
        if count == state.queue.count {
            swap(&group, &state.queue)
        } else {
            group.append(contentsOf: state.queue[..<count])
            state.queue.removeFirst(count)
        }
    }

    /// While somebody else appends, writes that need no append go on into the buffer.
    private func takeMemoryOnly(room: Int) -> Work? {
        precondition(group.isEmpty)
        var left = room
        state.queue.removeAll { ticket in
            guard ticket.ack == .memory, ticket.size <= left else { return false }
            left -= ticket.size
            group.append(ticket)
            return true
        }
        guard !group.isEmpty else { return nil }
        state.isCommitTaken = true
        return .commit(CommitGroup(append: nil, room: room))
    }

    /// Takes the writing-out of the log buffer, `nil` when it is empty or busy.
    func takeFlush() -> Work? {
        guard state.bufferedSize > 0 || state.appendedSequence < state.lastSequence,
            state.canAppend, !state.isCommitTaken
        else { return nil }
        state.isAppendTaken = true
        if state.hasRest {
            state.isCommitTaken = true
        } else {
            swap(&writing, &active)
        }
        state.flushingSize = state.bufferedSize
        return .flush(state.appendContext, holdsCommit: state.hasRest)
    }

    /// Takes a sync of what is appended, `nil` when all of it is synced or a sync runs.
    func takeSync() -> Work? {
        guard state.canSync, let file = state.file else { return nil }
        state.isSyncTaken = true
        state.isSyncRequested = false
        return .sync(
            SyncTarget(
                file: file,
                length: state.appendedLength,
                sequence: state.appendedSequence
            )
        )
    }

    // MARK: - Finish

    /// Gives the roles of a unit of work back and notes what came of it.
    func finish(_ work: Work, _ completion: Completion) {
        if case .broken(let cause) = completion { poison(cause) }
        switch work {
        case .commit(let commit): finish(commit, completion)
        case .flush(_, let holdsCommit): finishFlush(completion, holdsCommit: holdsCommit)
        case .sync(let target): finish(target, completion)
        case .rotate(_, let next): finishRotation(completion, next: next)
        case .makeAhead: finishAhead(completion)
        case .marker: finishMarker()
        case .seal:
            state.isCommitTaken = false
            state.isSealWanted = false
        case .trim: if case .failed(let error) = completion { warn("trimming a log file", error) }
        }
        dispatch()
    }

    private func finish(_ commit: CommitGroup, _ completion: Completion) {
        state.isCommitTaken = false
        if commit.append != nil { state.isAppendTaken = false }
        state.lastSequence = sequencer.lastSequence
        if case .committed(let appended, let putOff) = completion {
            // Nobody waits for the append of what was put off: only the operator is told.
            if let putOff { warn(Self.writingBuffer, putOff) }
            if appended {
                noteAppended(through: state.lastSequence)
                clearBuffer()
            } else {
                noteBuffered()
            }
        } else {
            noteBuffered()
        }
        slowDown(group.reduce(0) { $0 + $1.size })
        for ticket in group { settle(ticket) }
        group.removeAll(keepingCapacity: true)
    }

    private func noteBuffered() {
        for ticket in group {
            if case .done = ticket.outcome { state.bufferedSize += ticket.size }
        }
        if state.bufferedSize > 0, state.bufferedSince == nil { state.bufferedSince = now }
    }

    private func clearBuffer() {
        state.bufferedSize = 0
        state.bufferedSince = nil
        state.hasRest = false
    }

    private func noteAppended(through sequence: UInt64) {
        state.appendedSequence = sequence
        appended.store(sequence, ordering: .releasing)
        state.file = writer.current
        state.appendedLength = writer.current?.length ?? 0
        state.unmarkedSince = nil
        if state.unsyncedSince == nil { state.unsyncedSince = now }
        metrics.noteLog(writer)
        if state.appendedLength >= limits.logFileSize, state.rotation == .none, state.ahead != nil {
            state.rotation = .wanted
        }
    }

    private func finishFlush(_ completion: Completion, holdsCommit: Bool) {
        state.isAppendTaken = false
        if holdsCommit { state.isCommitTaken = false }
        switch completion {
        case .success:
            state.warnings.remove(Self.writingBuffer)
            // While the roles were ours, others may have put more into the buffer.
            noteAppended(through: writer.lastSequence)
            let left = state.bufferedSize - state.flushingSize
            clearBuffer()
            state.bufferedSize = left
            state.bufferedSince = left > 0 ? now : nil
        case .failed(let error):
            state.hasRest = true
            state.retryTime = now + Self.retryDelay
            warn(Self.writingBuffer, error)
            for waiter in state.waiters where waiter.sequence > state.appendedSequence {
                waiter.failure = error
            }
        default: break
        }
    }

    private func finish(_ target: SyncTarget, _ completion: Completion) {
        state.isSyncTaken = false
        guard case .success = completion else { return }
        noteSynced(through: target.sequence)
        guard state.file === target.file else { return }
        state.syncedLength = max(state.syncedLength, target.length)
        let isAllSynced = state.syncedSequence == state.appendedSequence
        state.unsyncedSince = isAllSynced ? nil : now
        state.unmarkedSince = isAllSynced ? now : nil
        if state.rotation == .wanted, state.unsyncedLength <= Self.syncDistance {
            state.rotation = .ready
        }
    }

    func finishRotation(_ completion: Completion, next: StoreFile) {
        state.isAppendTaken = false
        state.isSyncTaken = false
        state.rotation = .none
        guard case .rotated(let finished) = completion else {
            if case .failed(let error) = completion {
                warn("changing log files", error)
                state.ahead = next
            }
            state.appendedLength = writer.current?.length ?? 0
            return
        }
        state.finished.append(finished)
        state.file = writer.current
        state.appendedLength = writer.current?.length ?? 0
        state.syncedLength = state.appendedLength
        noteSynced(through: state.appendedSequence)
        state.unsyncedSince = nil
        state.unmarkedSince = nil
    }

    private func finishAhead(_ completion: Completion) {
        state.isMakingAhead = false
        switch completion {
        case .made(let file):
            state.ahead = file
            state.warnings.remove(Self.makingAhead)
        case .failed(let error):
            state.aheadRetryTime = now + 5 * Self.retryDelay
            warn(Self.makingAhead, error)
        default: break
        }
    }

    private func finishMarker() {
        state.isAppendTaken = false
        // A marker asks for no sync of its own: `unsyncedSince` stays as it is.
        state.appendedLength = writer.current?.length ?? 0
        state.unmarkedSince = nil
    }

    // MARK: - Wake

    /// Refuses writes from now on; what waits can no longer be decided.
    func poison(_ cause: EngineError) {
        guard state.poison == nil else { return }
        state.poison = EngineError(
            .poisoned,
            "writes are refused until the store is reopened: \(cause.message)",
            file: cause.file,
            offset: cause.offset,
            errno: cause.errno
        )
        maintenance.events.send(.poisoned(cause))
        logger.critical(
            "the log failed; writes are refused until reopen",
            metadata: ["error": "\(cause)"]
        )
    }

    func settle(_ ticket: Ticket) {
        ticket.isDone = true
        if ticket.isBlocked { ticket.condition?.signal() }
        ticket.continuation?.resume()
    }

    /// Wakes whose wait is over, and somebody for each role that is free and wanted.
    func dispatch() {
        if let poison = state.poison { failAll(poison) }
        if !state.feedWaiters.isEmpty { settleFeedWaiters(now: now) }
        if !state.waiters.isEmpty { settleWaiters() }
        if state.boundaryWaiterCount > 0 { boundaryCondition.broadcast() }
        if !state.queue.isEmpty, !state.isCommitTaken {
            // Whoever blocks does the work himself; for those who suspend the log thread does it.
            state.queue.first { $0.isBlocked }?.condition?.signal()
        }
        if !state.waiters.isEmpty, !state.isSyncTaken || !state.isAppendTaken {
            state.waiters.first { $0.condition != nil }?.condition?.signal()
        }
        if state.phase == .closing, state.isIdle { closeCondition.broadcast() }
        wakeLogThreadIfNeeded()
    }

    private func failAll(_ poison: EngineError) {
        let error = Self.indeterminate(poison)
        failQueue(poison)
        for waiter in state.waiters where waiter.failure == nil { waiter.failure = error }
        failFeedWaiters(error)
    }

    private func settleWaiters() {
        let waiters = state.waiters
        state.waiters.removeAll(keepingCapacity: true)
        for waiter in waiters {
            if state.reached(waiter.point, waiter.sequence) {
                waiter.failure = nil
            } else if waiter.failure == nil {
                state.waiters.append(waiter)
                continue
            }
            settle(waiter)
        }
    }

    func settle(_ waiter: Waiter) {
        waiter.isDone = true
        waiter.condition?.signal()
        waiter.continuation?.resume()
    }

    /// Tells the operator, once until it has worked again.
    private func warn(_ doing: String, _ error: EngineError) {
        guard state.warnings.insert(doing).inserted else { return }
        logger.warning("\(doing) failed", metadata: ["error": "\(error)"])
    }
}
