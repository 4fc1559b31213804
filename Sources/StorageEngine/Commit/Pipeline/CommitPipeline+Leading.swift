// How the store of a replication member begins to make records of its own, and ends. In between, a
// leader's records come in as `CommitPipeline+Apply.swift` says.
//
// (1) An epoch begins where the log ends when the member begins to lead. When it leaves no record
//     it is forgotten with its leader, as if it had never been.
// (2) Once the end has returned, no write of the epoch is made any more: those inside have ended,
//     those that waited are refused.

extension CommitPipeline {
    /// Accepts writes from now on, in an epoch that begins behind the last record here; or in the
    /// present one, when that is the same. Blocks until those inside have ended.
    ///
    /// - Throws: ``EngineError`` when the log file cannot be changed, `poisoned` or `closed`.
    func lead(_ epoch: Epoch) throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        try takeAllRoles()
        if sequencer.epoch == epoch {
            giveAllRolesBack()
        } else {
            try changeEpoch { $0.begin(epoch) }
            maintenance.events.send(.epochBegan(epoch))
        }
        state.isFollowing = false
    }

    /// Refuses writes from now on. Blocks until those inside have ended.
    ///
    /// - Throws: ``EngineError`` when the log file of an epoch without a record cannot be removed,
    ///   `poisoned` or `closed`; writes are refused all the same.
    func stopLeading() throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        state.isFollowing = true
        failQueue(Self.notLeader)
        try takeAllRoles()
        guard sequencer.isEpochEmpty else { return giveAllRolesBack() }
        try changeEpoch { $0.forgetEmptyEpoch() }
    }

    private func giveAllRolesBack() {
        giveFileRolesBack()
        state.isCommitTaken = false
        state.isMakingAhead = false
        dispatch()
    }

    /// The epochs that have records, and where the history ends. Waits for a write that is being
    /// committed.
    func history() throws(EngineError) -> (epochs: [EpochEntry], end: Position) {
        let sequencer = try atCommitBoundary { _ in self.sequencer }
        return (sequencer.epochsWithRecords, sequencer.position)
    }
}
