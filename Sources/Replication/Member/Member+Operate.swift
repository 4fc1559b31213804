internal import StorageEngine

/// What operators ask of a member.
extension Member {
    /// Begins a history, and leads it: once, for the first member of all, which must be a voter
    /// without one. Blocks until the member leads.
    ///
    /// - Throws: ``ReplicationError``: `notNew` when there is a history, or the member is no voter;
    ///   `store` when the store cannot be made.
    public func bootstrap() throws(ReplicationError) {
        let history = UniqueID(high: environment.entropy(), low: environment.entropy())
        let isNew = lock.with {
            let isNew = state.core.mark.history == nil && membership.isVoter(id)
            if isNew { give(.bootstrap(history: history)) }
            return isNew && state.core.leadership != nil
        }
        guard isNew else { throw .notNew }
        try lock.with { () throws(ReplicationError) in
            while state.leading == nil {
                if let failure = state.failure { throw .store(failure) }
                guard state.phase == .open else { throw .store(.closed) }
                changed.wait(lock)
            }
        }
    }

    /// Makes this member the leader, in a term of its own: consults the voters, takes over what any
    /// of them has more, and then leads. Whoever led before is fenced. Does nothing for a member
    /// that leads. Suspends until the member leads, or it failed.
    ///
    /// - Parameter acceptLoss: Whether to lead although too few voters answer: writes that only the
    ///   others have are lost then.
    /// - Throws: ``ReplicationError``: `promotionFailed` when too few voters answered or another
    ///   one leads; `notNew` when the member is no voter or has no history; `store` when the member
    ///   is closed or its store failed.
    public func promote(acceptLoss: Bool = false) async throws(ReplicationError) {
        guard let pending = try beginPromotion(acceptLoss: acceptLoss) else { return }
        _ = await withCheckedContinuation { continuation in
            lock.with { pending.resume(continuation) }
        }
        let isLeading = lock.with { state.leading != nil }
        guard isLeading else { throw .promotionFailed }
    }

    private func beginPromotion(
        acceptLoss: Bool
    ) throws(ReplicationError) -> PendingOutcome? {
        try lock.with { () throws(ReplicationError) in
            guard state.phase == .open else { throw .store(.closed) }
            if let failure = state.failure { throw .store(failure) }
            guard membership.isVoter(id), state.core.mark.history != nil else { throw .notNew }
            guard state.leading == nil else { return nil }
            failPromotion()
            let pending = PendingOutcome()
            state.promotion = pending
            give(.promote(acceptLoss: acceptLoss))
            return pending
        }
    }

    /// Tells whoever promoted that the member leads, or will not. Needs the lock.
    func settlePromotion() {
        guard state.promotion != nil else { return }
        if state.leading == nil, state.core.isPromoting || state.core.leadership != nil { return }
        failPromotion()
    }

    /// Ends the wait for a promotion, however it ended. Needs the lock.
    func failPromotion() {
        guard let pending = state.promotion.take() else { return }
        state.settle(pending, .over)
    }
}

extension Outcome {
    /// Of a wait that says nothing but that it is over.
    fileprivate static let over = Outcome.indeterminate(
        ReplicaReceipt(epoch: .none, sequence: 0, local: nil, followers: [], isDegraded: false),
        .noLongerLeading
    )
}
