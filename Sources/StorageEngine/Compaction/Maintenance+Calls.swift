internal import Synchronization

// What others ask of maintenance, and the threads that do it.

extension Maintenance {
    // MARK: - Threads

    /// Flushes, installs and removes until maintenance is closed.
    func runFlushThread() { runThread(takeFlushWork) }

    /// Compacts and installs until maintenance is closed.
    func runCompactionThread() { runThread(takeCompactionWork) }

    private func runThread(_ take: (UInt64) -> Work?) {
        lock.acquire()
        while state.phase != .closed {
            if let work = take(now) {
                perform(unlocked: consume work)
                continue
            }
            let time = nextTime()
            if time == .max { condition.wait(lock) } else { condition.wait(lock, until: time) }
            lock.release()
            readState.gate.collect()
            lock.acquire()
        }
        lock.release()
    }

    func perform(unlocked work: consuming Work) {
        state.inFlight += 1
        lock.release()
        let completion = perform(work)
        lock.acquire()
        state.inFlight -= 1
        finish(work, completion)
        lock.release()
        // An index that was flushed is freed here, without the lock: its work may be the last to
        // hold it.
        _ = consume work
        readState.gate.collect()
        lock.acquire()
    }

    /// Called when the log was synced, under its lock.
    func noteSynced() {
        guard isWaitingForSync.load(ordering: .sequentiallyConsistent) else { return }
        isWaitingForSync.store(false, ordering: .sequentiallyConsistent)
        condition.broadcast()
    }

    // MARK: - The commit role

    /// Seals the active index when it is full and another may wait, and notes how full it is. Needs
    /// the commit role; `mark` says where the history ends.
    func noteCommit(_ mark: @autoclosure () -> FlushMark) {
        let used = readState.active.usedBytes
        let isFull = isFull.load(ordering: .relaxed)
        guard isFull || used >= limits.writeBufferSize else { return }
        guard used < limits.writeBufferSize || isFull else { return seal(mark()) }
        let load = min(1, Double(used) / Double(limits.writeBufferSize))
        lock.with {
            // One more place may have become free.
            guard abs(load - state.activeLoad) >= 1.0 / 64 || load == 1 else { return }
            state.activeLoad = load
            noteBackpressure()
        }
    }

    /// Seals the active index, whatever it holds. Needs the commit role.
    func seal(_ mark: FlushMark) {
        let index = readState.seal()
        lock.with {
            state.sealed.append(SealedIndex(index: index, mark: mark))
            state.activeLoad = 0
            noteBackpressure()
            condition.broadcast()
        }
    }

    /// Whether another sealed index may wait.
    var canSeal: Bool { !isFull.load(ordering: .relaxed) }

    // MARK: - Requests

    /// Waits until everything up to a sequence is in segments.
    ///
    /// `requestSeal` asks the commit role to seal the active index; it is called when that may hold
    /// some of it, without the lock.
    ///
    /// - Throws: ``EngineError`` when a flush fails, or `closed`.
    func waitFlushed(
        through sequence: UInt64,
        _ requestSeal: () -> Void
    ) throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        var hasRequested = false
        while state.flushedSequence < sequence {
            if let failure = state.flushFailure { throw failure }
            guard state.phase == .open else { throw .closed }
            let isSealed = state.sealed.contains { $0.mark.sequence >= sequence }
            if !isSealed, !hasRequested {
                hasRequested = true
                lock.release()
                requestSeal()
                lock.acquire()
                continue
            }
            // A log that fails lets no flush through, and wakes nobody here.
            condition.wait(lock, until: now + Self.flushPollDelay)
            if let failure = log?.failure { throw failure }
        }
    }

    private static let flushPollDelay: UInt64 = 100_000_000

    /// Compacts what touches a range, level by level, down to the deepest that has segments; waits.
    ///
    /// - Throws: ``EngineError`` when a compaction fails, or `closed`.
    func compact(_ range: KeyRange) throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        let request = request(range)
        while !request.isDone {
            guard state.phase == .open else { throw .closed }
            condition.wait(lock)
        }
        if let failure = request.failure { throw failure }
    }

    /// Waits until no flush or compaction is left to do, with the limits as they are. Writers may
    /// make more meanwhile.
    func waitIdle() {
        lock.acquire()
        while state.phase == .open, !isIdle {
            condition.wait(lock, until: now + Self.flushPollDelay)
        }
        lock.release()
    }

    /// Whether nothing runs, and nothing is to begin. Needs the lock.
    private var isIdle: Bool {
        state.sealed.isEmpty && state.running.isEmpty && state.installs.isEmpty
            && !state.isInstalling && state.requests.isEmpty
            && picker.choice(state.infos, beside: []) == nil
    }

    /// Asks for a compaction. Needs the lock.
    func request(_ range: KeyRange) -> CompactionRequest {
        let request = CompactionRequest(range: range, lastLevel: max(1, state.deepestLevel))
        state.requests.append(request)
        condition.broadcast()
        return request
    }

    /// Keeps compactions from starting, until ``resumeCompactions()``; those that run go on.
    func pauseCompactions() { lock.with { state.pauseCount += 1 } }

    /// `false` when compactions are not paused.
    func resumeCompactions() -> Bool {
        lock.with {
            guard state.pauseCount > 0 else { return false }
            state.pauseCount -= 1
            condition.broadcast()
            return true
        }
    }

    /// Looks again which log files consumers still need.
    func reviewLogs() { lock.with { noteRemovableLogs() } }

    /// Removes the log files up to a sequence that recovery does not need.
    func trimLogs(through sequence: UInt64, _ catalog: LogCatalog) {
        lock.with {
            guard state.hasInstalled else { return }
            let last = catalog.files.last {
                $0.number <= state.obsoleteLog && ($0.end?.lastSequence ?? .max) <= sequence
            }
            guard let last, last.number > state.removedLog else { return }
            catalog.removeAll(through: last.number)
            noteRemoved(through: last.number)
        }
    }

    /// The number of the last log file that is not needed any more.
    var obsoleteLog: UInt64 { lock.with { state.obsoleteLog } }

    /// The last sequence that is in a segment, as all before it.
    var flushedSequence: UInt64 { lock.with { state.flushedSequence } }

    /// Runs a closure while no file is removed, with the number of the last log file that is not
    /// needed any more.
    func keepingFiles<R>(
        _ body: (Version, UInt64) throws(EngineError) -> R
    ) throws(EngineError) -> R {
        lock.acquire()
        state.removalHoldCount += 1
        while state.isRemoving { condition.wait(lock) }
        let (version, obsoleteLog) = (state.version, state.obsoleteLog)
        lock.release()
        defer {
            lock.with {
                state.removalHoldCount -= 1
                condition.broadcast()
            }
        }
        return try body(version, obsoleteLog)
    }

    // MARK: - End

    /// Ends compactions, flushes what is in memory when reading it from the log again would take
    /// long, and closes the manifest. The log is closed, and synced as a whole.
    ///
    /// A flush that fails loses nothing: the log has it all.
    ///
    /// - Parameters:
    ///   - mark: Where the history ends; `nil` when nothing was written since the store was opened.
    ///   - logLength: Bytes of the log that the next open would read.
    /// - Throws: ``EngineError`` when the manifest cannot be closed, which loses nothing either.
    func close(_ mark: FlushMark?, logLength: UInt64) throws(EngineError) {
        isCancelled.store(true, ordering: .relaxed)
        lock.acquire()
        state.phase = .closing
        condition.broadcast()
        finishWork()
        lock.release()
        let isSlow =
            logLength >= Self.closeFlushSize
            || readState.active.usedBytes >= Self.closeFlushSize
        if let mark, isSlow, !readState.active.isEmpty, canSeal { seal(mark) }
        lock.acquire()
        finishWork()
        state.phase = .closed
        condition.broadcast()
        lock.release()
        try manifest.close()
    }

    /// Does what is left, as far as it can be done now, and waits for what others do. Needs the
    /// lock, and lets it go meanwhile.
    private func finishWork() {
        while true {
            if let work = takeFlushWork(now: now) {
                perform(unlocked: work)
            } else if state.inFlight > 0 {
                condition.wait(lock)
            } else {
                return
            }
        }
    }

    /// Ends everything as it is.
    func abandon() {
        isCancelled.store(true, ordering: .relaxed)
        lock.with {
            state.phase = .closed
            condition.broadcast()
        }
    }

    /// Closing flushes what takes longer to read from the log than to flush: from this many bytes
    /// on.
    private static let closeFlushSize = 4 << 20
}
