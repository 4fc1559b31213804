// How records that a leader has sequenced get in: at their place in the history, or not at all.
//
// (1) A record is taken only behind its predecessor: the sequence before it and the log hash before
//     it are those of the last record here. What is here already is passed over.
// (2) The log hash of each record is computed anew before anything is appended.
// (3) An epoch begins with its first record, in a log file of its own: what is before it is sealed
//     and synced then.
// (4) There is one applier at a time. Its records go in as groups, each as a whole or not at all.
// (5) Who must not wait takes all roles that it needs together with the look at what is in the way.

extension CommitPipeline {
    /// Takes in what follows the last record here, and waits until that has reached a point, which
    /// is at least the log; blocks.
    ///
    /// - Returns: The last record's position.
    /// - Throws: ``EngineError`` with code `gap` when records are missing before these, `diverged`
    ///   when they are of another history, `fenced` when their epoch is over; `noSpace`,
    ///   `indeterminate`, `poisoned` or `closed`; `invalidArgument` when somebody else applies.
    func apply(_ batch: RecordBatch, ack: AckPoint) throws(EngineError) -> Position {
        try lock.with { () throws(EngineError) in
            guard !state.isApplying else {
                throw .invalidArgument("somebody else applies records")
            }
            state.isApplying = true
        }
        defer { lock.with { state.isApplying = false } }
        let (records, end) = try admit(batch)
        var index = records.entries.startIndex
        while index < records.entries.endIndex {
            let tickets = group(of: records, from: index)
            try commit(tickets)
            index += tickets.count
        }
        if ack == .disk, !records.isEmpty { try wait(for: end.sequence, .disk) }
        return end
    }

    /// Takes in what follows the last record here, unless something is in the way: somebody who has
    /// a role or waits for one, a rest to be written first, a log file that has to be made,
    /// backpressure, an epoch that begins, more records than make a group. Waits for nothing but
    /// the system's taking the bytes.
    ///
    /// - Returns: Whether the records are in the log, and readable; `false` also for a store that
    ///   leads or takes nothing more.
    /// - Throws: As ``apply(_:ack:)``.
    func applyAtOnce(_ batch: RecordBatch) throws(EngineError) -> Bool {
        guard let context = lock.with({ takeRolesAtOnce() }) else { return false }
        var work: Work?
        defer {
            lock.with {
                if work == nil { giveAppendingBack() }
                state.isApplying = false
            }
        }
        let records = try newRecords(of: batch, behind: sequencer)
        guard !records.isEmpty else { return true }
        try check(records, behind: sequencer)
        let tickets = group(of: records, from: records.entries.startIndex)
        guard records.epoch == sequencer.epoch, tickets.count == records.entries.count else {
            return false
        }
        group = tickets
        let commit = Work.commit(CommitGroup(append: context, room: 0))
        work = commit
        run(commit)
        _ = try tickets[tickets.count - 1].outcome.result()
        return true
    }

    /// Takes the roles of a group that is appended; `nil` when something is in the way. Needs the
    /// lock.
    private func takeRolesAtOnce() -> AppendContext? {
        guard !state.isApplying, state.isFollowing, endRefusal == nil, !state.isCommitTaken,
            state.canAppend, state.queue.isEmpty, state.bufferedSize == 0, !state.hasRest,
            state.file != nil, state.boundaryWaiterCount == 0, mayCommit
        else { return nil }
        state.isApplying = true
        state.isCommitTaken = true
        state.isAppendTaken = true
        return state.appendContext
    }

    private func giveAppendingBack() {
        state.isCommitTaken = false
        state.isAppendTaken = false
        dispatch()
    }

    /// The records of a batch that come next here, checked, and where the history ends with them;
    /// their epoch has begun. Waits until nobody has a role.
    func admit(
        _ batch: RecordBatch
    ) throws(EngineError) -> (records: RecordBatch, end: Position) {
        let last = try atCommitBoundary { _ in sequencer }
        let records = try newRecords(of: batch, behind: last)
        guard !records.isEmpty else { return (records, last.position) }
        try check(records, behind: last)
        if records.epoch != last.epoch { try begin(records.epoch) }
        return (records, records.end)
    }

    /// The records that are not here yet.
    private func newRecords(
        of batch: RecordBatch,
        behind last: Sequencer
    ) throws(EngineError) -> RecordBatch {
        let known = batch.prefix(through: last.lastSequence)
        let records = batch.dropFirst(known.count)
        let position = last.position
        let isSame =
            known.end.sequence != position.sequence || position.logHash == nil
            || known.isEmpty || known.end.logHash == position.logHash
        guard isSame else { throw Self.diverged(position.sequence) }
        guard !records.isEmpty else { return records }
        guard records.previousSequence <= last.lastSequence else {
            throw EngineError(
                .gap,
                "applying records behind \(records.previousSequence): the last one here is "
                    + "\(last.lastSequence)",
                sequence: last.lastSequence
            )
        }
        return records
    }

    /// Refuses records that are not of this history, or not what their hashes say.
    private func check(_ records: RecordBatch, behind last: Sequencer) throws(EngineError) {
        // An epoch that left no record here does not count.
        let isNewEpoch =
            records.epoch != last.epoch && records.epoch.number > last.position.epoch.number
        guard records.epoch == last.epoch || isNewEpoch else {
            throw EngineError(
                .fenced,
                "applying records of epoch \(records.epoch): this store is in \(last.epoch)",
                sequence: last.lastSequence
            )
        }
        let before = last.position.logHash ?? 0
        var hash = isNewEpoch ? LogHash.begin(records.epoch, after: before) : last.logHash
        guard records.previousSequence == last.lastSequence, records.hashBefore == hash else {
            throw Self.diverged(last.lastSequence)
        }
        for entry in records.entries {
            let digest = records.withOperations(of: entry) { LogHash.digest($0) }
            hash = LogHash.next(hash, entry.head, digest: digest)
            guard hash == entry.hash else { throw Self.diverged(entry.head.sequence) }
        }
    }

    private static func diverged(_ sequence: UInt64) -> EngineError {
        EngineError(
            .diverged,
            "applying records: their log hash at \(sequence) is not the one that it must be here",
            sequence: sequence
        )
    }

    /// The next records that make a group; they borrow their operations from the batch.
    func group(of records: RecordBatch, from start: Int) -> [Ticket] {
        var tickets: [Ticket] = []
        var size = 0
        for entry in records.entries[start...] {
            let write = records.withOperations(of: entry) { PreparedWrite($0) }
            let ticket = Ticket()
            let given = GivenRecord(head: entry.head, hash: entry.hash)
            ticket.reset(write, ack: .wal, given: given)
            guard tickets.isEmpty || size + ticket.size <= groupSizeMax else { break }
            tickets.append(ticket)
            size += ticket.size
        }
        return tickets
    }

    private func commit(_ tickets: [Ticket]) throws(EngineError) {
        guard let last = tickets.last else { return }
        lock.acquire()
        defer { lock.release() }
        if let endRefusal { throw endRefusal }
        state.queue += tickets
        while !last.isDone {
            if let work = takeCommit() {
                perform(unlocked: work)
            } else {
                block(for: last)
            }
        }
        _ = try last.outcome.result()
    }

    /// Begins an epoch: the current log file is finished, and another one begun.
    private func begin(_ epoch: Epoch) throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        try takeAllRoles()
        try changeEpoch { $0.begin(epoch) }
        maintenance.events.send(.epochBegan(epoch))
    }

    /// Changes the epoch, and the log file with it. Needs the lock, and lets it go meanwhile; all
    /// roles are held, and given back.
    func changeEpoch(_ change: (inout Sequencer) -> Void) throws(EngineError) {
        var ahead = state.ahead.take()
        let syncedThrough = state.syncedLength
        let earlier = sequencer
        lock.release()
        change(&sequencer)
        let completion = changeFile(to: &ahead, syncedThrough)
        lock.acquire()
        state.isCommitTaken = false
        state.isMakingAhead = false
        defer { dispatch() }
        switch completion {
        case .rotated:
            guard let ahead else { preconditionFailure("a file was begun") }
            finishRotation(completion, next: ahead)
        case .failed(let error):
            state.ahead = ahead
            giveFileRolesBack()
            sequencer = earlier
            throw error
        case .broken(let cause):
            giveFileRolesBack()
            poison(cause)
            throw Self.indeterminate(cause)
        default:
            giveFileRolesBack()
            state.file = nil
            (state.appendedLength, state.syncedLength) = (0, 0)
            state.unsyncedSince = nil
        }
        state.epochs = sequencer.epochs
    }

    func giveFileRolesBack() {
        state.isAppendTaken = false
        state.isSyncTaken = false
    }

    /// Waits until nobody has a role and the log buffer is written out, and takes all roles, with
    /// the making of the next file. Needs the lock.
    func takeAllRoles() throws(EngineError) {
        repeat {
            // A log file has no record of another epoch than its own.
            if let failure = work(to: .wal, state.lastSequence) { throw failure }
            state.boundaryWaiterCount += 1
            while state.isCommitTaken || state.isAppendTaken || state.isSyncTaken
                || state.isMakingAhead || state.rotation != .none
            {
                boundaryCondition.wait(lock)
            }
            state.boundaryWaiterCount -= 1
            if let endRefusal {
                dispatch()
                throw endRefusal
            }
        } while state.appendedSequence < state.lastSequence
        state.isCommitTaken = true
        state.isAppendTaken = true
        state.isSyncTaken = true
        state.isMakingAhead = true
    }

    /// Goes on in a new file, which is made unless there is one; without a current file that is
    /// left to the first append. All roles are held.
    private func changeFile(to next: inout StoreFile?, _ syncedThrough: UInt64) -> Completion {
        do throws(EngineError) {
            if let number = writer.current?.header.fileNumber, writer.isCurrentEmpty {
                if let unused = next.take() { try writer.discard(unused, number: number + 1) }
                try writer.discardEmpty()
            }
            guard let number = writer.current?.header.fileNumber else { return .success }
            let file = if let next { next } else { try writer.makeFile(number: number + 1) }
            next = file
            return rotate(
                AppendContext(syncedThrough: syncedThrough, epochs: sequencer.epochs),
                to: file
            )
        } catch {
            return .failed(error)
        }
    }
}
