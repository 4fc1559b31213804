internal import Synchronization

// How the pipeline ends.

extension CommitPipeline {
    /// Why a new write is refused, `nil` when it is not.
    var refusal: EngineError? {
        endRefusal ?? (state.isFollowing ? Self.notLeader : stallRefusal)
    }

    static let notLeader = EngineError(
        .notLeader,
        "the store follows a leader, and takes no writes of its own"
    )

    /// Why nothing more can be asked of the pipeline, `nil` when it can.
    var endRefusal: EngineError? { state.phase == .open ? state.poison : .closed }

    /// Why waiting makes no sense, `nil` when it does.
    var waitRefusal: EngineError? {
        if let poison = state.poison { return Self.indeterminate(poison) }
        return state.phase == .closed ? .closed : nil
    }

    /// Lets those inside end, writes the buffer out, seals and syncs; afterwards everything is
    /// refused.
    ///
    /// - Returns: Where the log ends; `nil` when somebody else closed it.
    func close() throws(EngineError) -> ClosedLog? {
        lock.acquire()
        guard state.phase == .open else {
            while state.phase != .closed { closeCondition.wait(lock) }
            lock.release()
            return nil
        }
        state.phase = .closing
        boundaryCondition.broadcast()
        while !state.isIdle { closeCondition.wait(lock) }
        state.isCommitTaken = true
        state.isAppendTaken = true
        state.isSyncTaken = true
        let rest = Rest(
            context: state.appendContext,
            ahead: state.ahead,
            finished: state.finished,
            poison: state.poison
        )
        state.ahead = nil
        state.finished = []
        lock.release()
        do throws(EngineError) {
            let end = try finishLog(rest)
            finishClosing(failure: nil)
            return ClosedLog(end: end, lastStamp: sequencer.lastStamp, mark: flushMark)
        } catch {
            finishClosing(failure: error)
            throw error
        }
    }

    /// Where a closed log ends.
    struct ClosedLog {
        /// `nil` when nothing was written since the store was opened.
        let end: LogEnd?
        let lastStamp: UInt64
        let mark: FlushMark
    }

    /// What is left to do when nobody is inside any more.
    private struct Rest {
        let context: AppendContext
        let ahead: StoreFile?
        let finished: [FinishedLogFile]
        let poison: EngineError?
    }

    /// All roles are held here.
    private func finishLog(_ rest: Rest) throws(EngineError) -> LogEnd? {
        defer { writer.abandon() }
        if let poison = rest.poison { throw poison }
        do throws(AppendFailure) {
            try writer.append(
                writing,
                active,
                syncedThrough: rest.context.syncedThrough,
                epochs: rest.context.epochs
            )
        } catch {
            throw error.error
        }
        // The file made ahead goes first: it would follow one that is not there.
        if let next = rest.ahead, let number = writer.current?.header.fileNumber {
            try writer.discard(next, number: number + 1)
        }
        let end = try writer.finish(syncedThrough: rest.context.syncedThrough)
        for finished in rest.finished { try finished.trim() }
        return end
    }

    private func finishClosing(failure: EngineError?) {
        lock.acquire()
        state.phase = .closed
        boundaryCondition.broadcast()
        if failure == nil {
            state.appendedSequence = state.lastSequence
            state.syncedSequence = state.lastSequence
            appended.store(state.lastSequence, ordering: .releasing)
            synced.store(state.lastSequence, ordering: .sequentiallyConsistent)
        }
        failQueue(.closed)
        for waiter in state.waiters { waiter.failure = failure.map(Self.indeterminate) }
        failFeedWaiters(.closed)
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
