internal import StorageEngine

/// What operators ask of a member.
extension Member {
    /// Begins a history, and leads it: once, for the first member of all, which must be a voter
    /// without one. Blocks until the member leads, or does not.
    ///
    /// A member that was emptied must not begin a second history beside the one that the others
    /// have. So give it time to ask them, unless it is certain that there is none: with all of them
    /// there it takes a moment.
    ///
    /// - Parameter time: How long the other voters are asked whether they have a history; when one
    ///   has, none is begun. Those that do not answer in time are taken to have none, see
    ///   ``MemberEvent/begunWithout(_:)``. Zero asks nobody.
    /// - Throws: ``ReplicationError``: `notNew` when there is a history, or the member is no voter;
    ///   `historyFound` when another voter has one, or is about to begin one: the member goes on
    ///   without, until it is fed; `store` when the store cannot be made, or is closed.
    public func bootstrap(asking time: Duration = .zero) throws(ReplicationError) {
        let history = UniqueID(high: environment.entropy(), low: environment.entropy())
        try lock.with { () throws(ReplicationError) in
            guard state.core.mark.history == nil, membership.isVoter(id) else { throw .notNew }
            state.otherHistory = nil
            let life = state.life
            give(.bootstrap(history: history, patience: time.ticks))
            guard state.core.isFounding || state.core.leadership != nil else { throw .notNew }
            while state.leading == nil {
                guard state.phase == .open else { throw .store(.closed) }
                if let failure = state.failure { throw .store(failure) }
                guard life == state.life else { throw .store(.closed) }
                if let member = state.otherHistory { throw .historyFound(at: member) }
                // Another one leads by now.
                let isBeginning = state.core.isFounding || state.core.leadership != nil
                guard isBeginning || state.isPersisting else { throw .notNew }
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
        await withCheckedContinuation { (task: CheckedContinuation<Void, Never>) in
            lock.with { pending.tell { _ in task.resume() } }
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
