// Commits: the work of the commit role. See `CommitPipeline.swift` for the rules.

extension CommitPipeline {
    /// Sequences a group, appends it when it must be, and publishes it.
    func commit(_ commit: CommitGroup) -> Completion {
        if sequencer.beginIfNeeded(starter: environment.entropy) {
            // Before its first record can be read: see `historyLine`.
            lock.with { state.epochs = sequencer.epochs }
            maintenance.events.send(.epochBegan(sequencer.epoch))
        }
        let earlier = sequencer
        let bufferedCount = active.entries.count
        sequence(group)
        guard let context = commit.append else {
            publish(group, from: bufferedCount)
            return .committed(appended: false)
        }
        do throws(AppendFailure) {
            try writer.append(
                writing,
                active,
                syncedThrough: context.syncedThrough,
                epochs: sequencer.epochs
            )
        } catch {
            active.truncate(to: bufferedCount)
            return fail(error, room: commit.room, earlier: earlier)
        }
        publish(group, from: bufferedCount)
        writing.removeAll()
        active.removeAll()
        return .committed(appended: true)
    }

    private func sequence(_ tickets: [Ticket]) {
        let wall = environment.time.wallMilliseconds
        for ticket in tickets {
            let hashBefore = sequencer.logHash
            let head: RecordHead
            if let given = ticket.given {
                sequencer.accept(given)
                head = given.head
            } else if let refusal = sequencer.refusal(of: ticket.wanted, ticket.kind) {
                ticket.outcome = .failed(refusal)
                continue
            } else {
                head = sequencer.next(
                    ticket.kind,
                    wanted: ticket.wanted,
                    digest: ticket.digest,
                    wallMilliseconds: wall
                )
            }
            active.append(
                head,
                hashBefore: hashBefore,
                hash: sequencer.logHash,
                operations: ticket.operations,
                large: ticket.large
            )
            ticket.outcome = .done((sequencer.epoch, head.sequence, sequencer.logHash))
        }
    }

    /// Puts sequenced writes into the index and the feed, and makes them readable. Their entries in
    /// the log buffer begin at an index.
    private func publish(_ tickets: [Ticket], from first: Int) {
        guard !tickets.isEmpty else { return }
        let retention = readState.retention
        do throws(DecodingFailure) {
            for ticket in tickets {
                guard case .done(let result) = ticket.outcome else { continue }
                try readState.active.insert(
                    ticket.operations,
                    sequence: result.sequence,
                    retention: retention
                )
            }
        } catch {
            preconditionFailure("a batch encodes to operations: \(error.reason)")
        }
        if newest.isWanted {
            let accepted = tickets.lazy.filter {
                if case .done = $0.outcome { true } else { false }
            }
            for (ticket, entry) in zip(accepted, active.entries[first...]) {
                newest.append(
                    entry.head,
                    epoch: sequencer.epoch,
                    hashes: (entry.hashBefore, entry.hash),
                    operations: ticket.operations
                )
            }
        }
        readState.publish(sequencer.lastSequence)
        maintenance.noteCommit(flushMark)
    }

    /// Where the history ends.
    var flushMark: FlushMark {
        FlushMark(
            epoch: sequencer.epoch,
            sequence: sequencer.lastSequence,
            logHash: sequencer.logHash
        )
    }

    /// Seals the active index, unless it is empty.
    func seal() -> Completion {
        if !readState.active.isEmpty { maintenance.seal(flushMark) }
        return .success
    }

    /// Fails a group whose append failed; its `.memory` writes go on without one when there is
    /// room.
    private func fail(
        _ failure: AppendFailure,
        room: Int,
        earlier: Sequencer
    ) -> Completion {
        let skipping: Bool
        let error: EngineError
        switch failure {
        case .refused(let cause, let touched): (error, skipping) = (cause, touched)
        case .indeterminate(let cause), .broken(let cause):
            (error, skipping) = (Self.indeterminate(cause), true)
        }
        sequencer.restore(earlier, skipping: skipping)
        for ticket in group { ticket.outcome = .failed(error) }
        if case .broken(let cause) = failure { return .broken(cause) }
        var room = room
        let kept = group.filter { ticket in
            guard ticket.ack == .memory, ticket.size <= room else { return false }
            room -= ticket.size
            return true
        }
        let bufferedCount = active.entries.count
        sequence(kept)
        publish(kept, from: bufferedCount)
        return .committed(appended: false, putOff: kept.isEmpty ? nil : failure.error)
    }

    static func indeterminate(_ cause: EngineError) -> EngineError {
        EngineError(
            .indeterminate,
            "the write may or may not be there after a restart: \(cause.message)",
            file: cause.file,
            offset: cause.offset,
            errno: cause.errno
        )
    }
}

extension MemoryIndex {
    /// Puts all operations of one record in.
    func insert(
        _ operations: UnsafeRawBufferPointer,
        sequence: UInt64,
        retention: Retention
    ) throws(DecodingFailure) {
        var reader = OperationReader(operations)
        while let operation = try reader.next() {
            let flags: UInt8
            switch operation.kind {
            case .put: flags = 0
            case .delete: flags = Self.tombstone
            case .rangeDelete:
                let tombstone = RangeTombstone(KeyRange(operation), sequence: sequence)
                insert(tombstone, retention: retention)
                continue
            }
            let isNew = insert(
                key: operation.key,
                value: operation.value,
                flags: flags,
                sequence: sequence,
                retention: retention
            )
            guard isNew else { throw .malformed("a key occurs twice") }
        }
    }
}
