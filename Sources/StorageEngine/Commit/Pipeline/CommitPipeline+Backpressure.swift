internal import Synchronization

// What flushes and compactions ask of writers, and what they need to know of the log.

extension CommitPipeline: LogProgress {
    var syncedSequence: UInt64 { synced.load(ordering: .sequentiallyConsistent) }

    func requestSync() {
        lock.with {
            state.isSyncRequested = true
            wakeLogThreadIfNeeded()
        }
    }

    var failure: EngineError? { lock.with { waitRefusal } }

    var epochs: [EpochEntry] { lock.with { state.epochs } }

    func obsoleteEnd(through sequence: UInt64) -> LogEnd? {
        // The newest one stays: a log without any file would not know its last stamp.
        catalog.finishedEnds.dropLast().last { $0.lastSequence <= sequence }
    }

    func removableLog(obsolete: UInt64) -> UInt64 { slots.removableLog(obsolete: obsolete) }

    /// What slots are measured by.
    var slotSurvey: SlotSurvey {
        SlotSurvey(
            catalog,
            end: readState.visibleSequence,
            obsolete: maintenance.obsoleteLog,
            appended: appendedEnd,
            now: environment.time.wallMilliseconds
        )
    }

    func apply(_ backpressure: Backpressure, failure: EngineError?) {
        lock.with {
            state.backpressure = backpressure
            state.stallFailure = failure
            if !backpressure.isHolding, backpressure.load == 0 { state.commitTime = 0 }
            if let refusal = stallRefusal, state.phase == .open { failQueue(refusal) }
            dispatch()
        }
    }

    /// Seals what is in memory up to a sequence, and waits until it is in segments.
    func flush(through sequence: UInt64) throws(EngineError) {
        try maintenance.waitFlushed(through: sequence) {
            lock.with {
                state.isSealWanted = true
                wakeLogThreadIfNeeded()
            }
        }
    }

    // MARK: - Under the lock

    /// Why writes are refused rather than held; `nil` when they are not.
    var stallRefusal: EngineError? {
        if limits.failsIfStalled, let reason = state.backpressure.reason {
            return EngineError(
                .stalled,
                "the write would wait for flushes or compactions, which are behind: "
                    + reason.rawValue
            )
        }
        guard state.backpressure.isHolding, let failure = state.stallFailure else { return nil }
        return EngineError(
            failure.code,
            "writes are refused until that is over: \(failure.message)",
            file: failure.file,
            offset: failure.offset,
            errno: failure.errno
        )
    }

    /// Whether a group may be taken now.
    var mayCommit: Bool {
        // Those who are inside when the engine closes are let through.
        guard state.phase == .open else { return true }
        if state.backpressure.isHolding { return false }
        if state.commitTime == 0 { return true }
        guard now >= state.commitTime else { return false }
        state.commitTime = 0
        return true
    }

    /// Makes the next group wait for what this one wrote.
    func slowDown(_ bytes: Int) {
        guard state.backpressure.load > 0 else { return }
        let delay = state.backpressure.delay(bytes: bytes)
        guard delay > 0 else { return }
        state.commitTime = now + delay
        state.stalledNanoseconds += delay
    }

    /// Notes that a sync covers everything up to a sequence.
    func noteSynced(through sequence: UInt64) {
        state.syncedSequence = max(state.syncedSequence, sequence)
        synced.store(state.syncedSequence, ordering: .sequentiallyConsistent)
        maintenance.noteSynced()
    }

    /// Refuses the writes that wait to be sequenced.
    func failQueue(_ error: EngineError) {
        let tickets = state.queue
        state.queue.removeAll()
        for ticket in tickets {
            ticket.outcome = .failed(error)
            settle(ticket)
        }
    }
}
