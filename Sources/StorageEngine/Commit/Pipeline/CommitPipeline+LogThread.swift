// The log thread: everything that no writer does himself. It writes the buffer of `.memory` writes
// out within the memory window, syncs behind the writers and for those who suspend, changes log
// files and makes the next one ahead, and appends sync markers.

extension CommitPipeline {
    /// Runs until the pipeline is closed.
    func runLogThread() {
        lock.acquire()
        while state.phase != .closed {
            if let work = takeLogThreadWork(now: now) {
                lock.release()
                let completion = perform(work)
                lock.acquire()
                finish(work, completion)
                continue
            }
            wait(until: logThreadTime())
        }
        lock.release()
    }

    private func wait(until time: UInt64) {
        // What could not be taken although it is due waits for a role: `dispatch` signals then.
        let deadline = time > now ? time : .max
        state.logThreadDeadline = deadline
        if deadline == .max {
            logThreadCondition.wait(lock)
        } else {
            logThreadCondition.wait(lock, until: deadline)
        }
        state.logThreadDeadline = 0
    }

    /// Wakes the log thread when there is something to do before it wakes on its own.
    func wakeLogThreadIfNeeded() {
        guard state.logThreadDeadline != 0, logThreadTime() < state.logThreadDeadline else {
            return
        }
        // Once is enough; it looks for work before it waits again.
        state.logThreadDeadline = 0
        logThreadCondition.signal()
    }

    /// When the log thread has something to do: 0 for now, `.max` for nothing.
    func logThreadTime() -> UInt64 {
        guard state.poison == nil else { return .max }
        if isLogThreadNeeded { return 0 }
        var time = UInt64.max
        if let since = state.bufferedSince {
            time = min(time, max(since + limits.memoryDelay, state.retryTime))
        }
        if let since = state.unsyncedSince {
            time = min(time, since + limits.syncInterval)
        }
        if !state.feedWaiters.isEmpty { time = min(time, feedTime) }
        if state.commitTime > 0, state.queue.contains(where: \.isSuspended) {
            time = min(time, state.commitTime)
        }
        guard state.phase == .open else { return time }
        if let since = state.unmarkedSince { time = min(time, since + Self.markerDelay) }
        if state.file != nil, state.ahead == nil, !state.isMakingAhead {
            time = min(time, state.aheadRetryTime)
        }
        return time
    }

    /// Whether something waits for the log thread right now, and can be done.
    private var isLogThreadNeeded: Bool {
        if !state.finished.isEmpty, state.phase == .open { return true }
        if state.canSync, state.isSyncRequested || state.unsyncedLength >= Self.syncDistance {
            return true
        }
        if state.rotation != .none { return true }
        if state.isSealWanted, !state.isCommitTaken, maintenance.canSeal { return true }
        if !state.isCommitTaken, state.canAppend, mayCommit,
            state.queue.contains(where: \.isSuspended)
        {
            return true
        }
        if state.canAppend, !state.isCommitTaken, isFlushUrgent { return true }
        return false
    }

    /// Whether the log buffer should be written before its time.
    private var isFlushUrgent: Bool {
        guard state.bufferedSize > 0 else { return false }
        return state.bufferedSize >= limits.memoryWindow / 2 && state.retryTime == 0
            || state.waiters.contains { $0.point > .memory && $0.sequence > state.appendedSequence }
    }

    /// Takes what the log thread should do now, `nil` for nothing.
    func takeLogThreadWork(now: UInt64) -> Work? {
        guard state.poison == nil, state.phase != .closed else { return nil }
        if !state.feedWaiters.isEmpty {
            settleFeedWaiters(now: now)
            requestSyncForFeed(now: now)
        }
        if let work = takeSeal() { return work }
        if let work = takeQueued() ?? takeDueFlush(now: now) ?? takeRotation() { return work }
        if let work = takeDueSync(now: now) { return work }
        // Closing does the rest itself.
        guard state.phase == .open else { return nil }
        if let finished = state.finished.popLast() { return .trim(finished) }
        return takeAhead(now: now) ?? takeMarker(now: now)
    }

    /// Takes the sealing of the active index, when that was asked for and another may wait.
    private func takeSeal() -> Work? {
        guard state.isSealWanted, !state.isCommitTaken, maintenance.canSeal else { return nil }
        state.isCommitTaken = true
        return .seal
    }

    private func takeQueued() -> Work? {
        guard state.queue.contains(where: \.isSuspended) else { return nil }
        return takeCommit()
    }

    private func takeDueFlush(now: UInt64) -> Work? {
        guard let since = state.bufferedSince, now >= state.retryTime,
            isFlushUrgent || now >= since + limits.memoryDelay
        else { return nil }
        return takeFlush()
    }

    private func takeDueSync(now: UInt64) -> Work? {
        guard let since = state.unsyncedSince else { return nil }
        let isDue =
            state.isSyncRequested || state.unsyncedLength >= Self.syncDistance
            || state.rotation == .wanted || now >= since + limits.syncInterval
        return isDue ? takeSync() : nil
    }

    private func takeRotation() -> Work? {
        if state.rotation == .wanted, state.unsyncedSince == nil { state.rotation = .ready }
        guard state.rotation == .ready, !state.isAppendTaken, !state.isSyncTaken,
            let next = state.ahead
        else { return nil }
        state.ahead = nil
        state.isAppendTaken = true
        state.isSyncTaken = true
        return .rotate(state.appendContext, next: next)
    }

    private func takeAhead(now: UInt64) -> Work? {
        // While log files change, the next one is on its way to become the current one.
        guard let file = state.file, state.ahead == nil, !state.isMakingAhead,
            state.rotation == .none, now >= state.aheadRetryTime
        else { return nil }
        state.isMakingAhead = true
        return .makeAhead(number: file.header.fileNumber + 1)
    }

    private func takeMarker(now: UInt64) -> Work? {
        guard let since = state.unmarkedSince, now >= since + Self.markerDelay, state.canAppend
        else { return nil }
        state.isAppendTaken = true
        return .marker(state.appendContext)
    }
}
