internal import StorageEngine

/// What a member does when its store fails.
extension Member {
    /// Does what may lack space or be held for a while, until it can be done.
    func retrying(_ body: () throws(EngineError) -> Void) throws(EngineError) {
        while true {
            do throws(EngineError) {
                return try body()
            } catch {
                guard error.passes else { throw error }
                broadcast.send(.storeFailed(error))
                guard pause(milliseconds: 100) else { throw .closed }
            }
        }
    }

    /// Waits; `false` when the member is being closed.
    func pause(milliseconds: UInt64) -> Bool {
        lock.with {
            let end = environment.time.monotonicNanoseconds + milliseconds * 1_000_000
            while state.phase == .open, environment.time.monotonicNanoseconds < end {
                changed.wait(lock, until: end)
            }
            return state.phase == .open
        }
    }

    /// Opens the store again when its log has failed. Needs the lock.
    func noteFailure() {
        if let failure = state.engine?.logFailure { restart(for: failure) }
    }

    /// Opens the store again, and begins anew with what it holds. Needs the lock.
    func restart(for error: EngineError) {
        guard state.phase == .open, !state.isRestarting else { return }
        state.isRestarting = true
        state.failure = error
        state.leading = nil
        state.life += 1
        state.forgetActions()
        abandonTickets()
        changed.broadcast()
        broadcast.send(.storeFailed(error))
        storeJobs.submit { [self] in reopen() }
    }

    private func reopen() {
        let old = lock.with {
            takeRole()
            return state.engine.take()
        }
        old?.abandon()
        for feed in [feed, catchUp] { feed.jobs.submit { feed.removeAll() } }
        copyJobs.submit { [self] in copies.removeAll() }
        while true {
            do throws(EngineError) {
                // What was being made durable is, before it is read.
                let answer = JobAnswer<Void>()
                markJobs.submit { answer.settle(.success(())) }
                try answer.wait { [self] in lock.with { state.phase != .open } }
                let opening = try MemberOpening(
                    id,
                    in: directory,
                    membership: membership,
                    options: options,
                    environment: environment
                )
                let hasBegun = lock.with { begin(opening) }
                // What is closed meanwhile does not end cleanly: nothing was made of the failure.
                if !hasBegun { opening.engine?.abandon() }
                return
            } catch {
                broadcast.send(.storeFailed(error))
                guard pause(milliseconds: 1_000) else { return lock.with { giveRoleBack() } }
            }
        }
    }

    /// Begins anew with what was found; returns whether the member is still open. Needs the lock.
    private func begin(_ opening: MemberOpening) -> Bool {
        defer { giveRoleBack() }
        guard state.phase == .open else { return false }
        state.core = opening.core
        if state.needsWholeCopy { state.core.requireWholeCopy() }
        state.record = opening.record
        state.engine = opening.engine
        state.incoming = opening.incoming
        state.generation = opening.core.generation
        state.points = nil
        state.isPersisting = false
        state.isRestarting = false
        state.isSyncQueued = false
        state.failure = nil
        give(.opened(isClean: false))
        return true
    }
}

extension EngineError {
    /// Whether what was refused is taken once there is room again.
    var passes: Bool { code == .noSpace || code == .stalled }
}
