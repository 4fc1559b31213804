internal import Synchronization

// What the pipeline does for consumers of its feed: it tells them when there is more, and syncs for
// those who wait for the disk.
//
// Waking a thread costs as much as several writes. The first write after a while wakes whoever
// waits at once; while one follows the other, consumers are woken at most every 100 microseconds,
// by the writer that comes next or by the log thread. A thread that reads a stream of writes sleeps
// for a moment first: what came meanwhile it finds without anybody having woken it.

extension CommitPipeline: FeedSource {
    /// The least time between two rounds of waking, and between two syncs for consumers.
    static let feedWakeInterval: UInt64 = 100_000
    static let feedSyncInterval: UInt64 = 10_000_000
    /// How long the reader of a stream sleeps before it asks to be woken.
    private static let feedNapTime: UInt64 = 300_000

    var directory: StoreDirectory { maintenance.directory }
    var tail: FeedTail? { newest }

    func feedLimit(_ horizon: AckPoint) -> UInt64 {
        switch horizon {
        case .memory: readState.visibleSequence
        case .wal: appended.load(ordering: .acquiring)
        case .disk: synced.load(ordering: .sequentiallyConsistent)
        }
    }

    var appendedEnd: LogLength? {
        lock.with {
            state.file.map {
                LogLength(fileNumber: $0.header.fileNumber, length: state.appendedLength)
            }
        }
    }

    func waitForFeed(
        after sequence: UInt64,
        _ horizon: AckPoint,
        isStream: Bool
    ) throws(EngineError) {
        if isStream {
            nap()
            if feedLimit(horizon) > sequence { return }
        }
        let waiter = Waiter(sequence: sequence + 1, point: horizon)
        let condition = Condition()
        waiter.condition = condition
        lock.acquire()
        defer { lock.release() }
        guard enqueue(waiter) else { return }
        while !waiter.isDone { condition.wait(lock) }
        if let failure = waiter.failure { throw failure }
    }

    private func nap() {
        let lock = Lock()
        let end = environment.time.monotonicNanoseconds + Self.feedNapTime
        lock.with { Condition().wait(lock, until: end) }
    }

    func waitForFeed(after sequence: UInt64, _ horizon: AckPoint) async throws {
        let waiter = Waiter(sequence: sequence + 1, point: horizon)
        await withTaskCancellationHandler {
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                lock.acquire()
                defer { lock.release() }
                waiter.continuation = continuation
                guard !Task.isCancelled, enqueue(waiter) else {
                    waiter.continuation = nil
                    continuation.resume()
                    return
                }
            }
        } onCancel: {
            lock.with {
                guard let index = state.feedWaiters.firstIndex(where: { $0 === waiter }) else {
                    return
                }
                state.feedWaiters.remove(at: index)
                settle(waiter)
            }
        }
        try Task.checkCancellation()
        if let failure = lock.with({ waiter.failure }) { throw failure }
    }

    /// Calls a closure between two commits, with the place where the history ends: nothing is
    /// committed meanwhile. The closure runs under the lock.
    func atCommitBoundary<R>(_ body: (Position) -> R) throws(EngineError) -> R {
        lock.acquire()
        defer { lock.release() }
        state.boundaryWaiterCount += 1
        // Who closes takes the role for good, and wakes nobody.
        while state.isCommitTaken, state.phase == .open { boundaryCondition.wait(lock) }
        state.boundaryWaiterCount -= 1
        defer { dispatch() }
        if let endRefusal { throw endRefusal }
        return body(sequencer.position)
    }

    // MARK: - Under the lock

    /// Makes a consumer wait; `false` when there is no need to, or no point.
    func enqueue(_ waiter: Waiter) -> Bool {
        if state.reached(waiter.point, waiter.sequence) { return false }
        if let refusal = waitRefusal {
            waiter.failure = refusal
            waiter.isDone = true
            return waiter.condition != nil
        }
        state.feedWaiters.append(waiter)
        wakeLogThreadIfNeeded()
        return true
    }

    /// Wakes consumers for whom there is more, unless some were woken a moment ago.
    func settleFeedWaiters(now: UInt64) {
        guard now >= state.feedWakeTime else { return }
        var isAnyDone = false
        state.feedWaiters.removeAll { waiter in
            guard state.reached(waiter.point, waiter.sequence) else { return false }
            settle(waiter)
            isAnyDone = true
            return true
        }
        if isAnyDone { state.feedWakeTime = now + Self.feedWakeInterval }
    }

    /// Wakes all consumers, who can wait for nothing any more.
    func failFeedWaiters(_ error: EngineError) {
        let waiters = state.feedWaiters
        state.feedWaiters.removeAll()
        for waiter in waiters {
            waiter.failure = error
            settle(waiter)
        }
    }

    /// When a consumer is to be woken, or wants a sync; `.max` for never.
    var feedTime: UInt64 {
        var time = UInt64.max
        for waiter in state.feedWaiters {
            if state.reached(waiter.point, waiter.sequence) {
                time = min(time, state.feedWakeTime)
            } else if isSyncWanted(by: waiter) {
                time = min(time, state.feedSyncTime)
            }
        }
        return time
    }

    /// Whether a sync would bring a consumer further.
    private func isSyncWanted(by waiter: Waiter) -> Bool {
        waiter.point == .disk && state.appendedSequence >= waiter.sequence && state.canSync
    }

    /// Asks for a sync when a consumer waits for one, and the last is some time ago.
    func requestSyncForFeed(now: UInt64) {
        guard now >= state.feedSyncTime, !state.isSyncRequested,
            state.feedWaiters.contains(where: isSyncWanted)
        else { return }
        state.isSyncRequested = true
        state.feedSyncTime = now + Self.feedSyncInterval
    }
}
