internal import StorageEngine

/// A task's write that is committed together with those of others.
struct JointWrite: Sendable {
    let write: GatheredWrite
    let waiter: Waiter

    /// The task, and what it waits for.
    final class Waiter: Sendable {
        let ack: AckPoint
        let replicas: Requirement
        private let task: CheckedContinuation<Result<ReplicatedReceipt, ReplicationError>, Never>

        init(
            _ ack: AckPoint,
            _ replicas: Requirement,
            _ task: CheckedContinuation<Result<ReplicatedReceipt, ReplicationError>, Never>
        ) {
            self.ack = ack
            self.replicas = replicas
            self.task = task
        }

        /// Resumes the task, whose write is not in the history, or not known to be.
        func refuse(_ error: ReplicationError) { task.resume(returning: .failure(error)) }

        /// Resumes the task, whose write is in the history.
        func end(_ outcome: Outcome, at position: Position) {
            let result = Result { () throws(ReplicationError) in
                try Member.result(outcome, position, ack)
            }
            task.resume(returning: result)
        }
    }
}

/// Writes of several tasks at a time, which are committed together.
extension Member {
    /// Larger batches are written by themselves: to copy them costs more than it saves.
    private static let gatheredSizeMax = 16 << 10

    /// Whether it may help to commit a batch together with others. Who waits for no follower is
    /// done at once by itself, and who waits for a disk shares the sync.
    static func mayGather(
        _ batch: borrowing WriteBatch,
        _ ack: AckPoint,
        _ replicas: Requirement
    ) -> Bool {
        replicas != .none && ack <= .wal && !batch.isEmpty && batch.encodedSize <= gatheredSizeMax
    }

    /// Commits a batch together with those of other tasks, and waits for its own point and that of
    /// followers.
    func writeWithOthers(
        _ batch: borrowing WriteBatch,
        _ ack: AckPoint,
        _ replicas: Requirement,
        _ sequence: UInt64?
    ) async throws -> ReplicatedReceipt {
        try Task.checkCancellation()
        let start = environment.time.monotonicNanoseconds
        let write = GatheredWrite(batch, sequence: sequence, ack: ack, since: start)
        let result = await withCheckedContinuation { task in
            let joint = JointWrite(write: write, waiter: JointWrite.Waiter(ack, replicas, task))
            if gathering.add(joint) { Task.detached { [self] in await commitGathered() } }
        }
        return try result.get()
    }

    /// Commits what has gathered, until nothing has. Begun as a task, it is behind all those that
    /// can run already: what these have to write gathers first.
    private func commitGathered() async {
        while let group = gathering.next() { await commit(group) }
    }

    private func commit(_ group: [JointWrite]) async {
        let (admitted, engine) = admit(group)
        guard let engine else { return }
        do throws(EngineError) {
            try await engine.commit(admitted.map(\.write))
        } catch {
            let refusal = refusal(error)
            for joint in admitted { joint.waiter.refuse(refusal) }
            return
        }
        enroll(admitted)
    }

    /// Those that the store may take, and the store; the others are refused.
    private func admit(_ group: [JointWrite]) -> ([JointWrite], Engine?) {
        let answers = lock.with {
            group.map { joint in
                Result { () throws(ReplicationError) in try admit(joint.waiter.replicas) }
            }
        }
        var engine: Engine?
        var admitted: [JointWrite] = []
        for (joint, answer) in zip(group, answers) {
            switch answer {
            case .success(let store):
                engine = store
                admitted.append(joint)
            case .failure(let error): joint.waiter.refuse(error)
            }
        }
        return (admitted, engine)
    }

    /// Tells the core of records, and of who waits for them.
    private func enroll(_ group: [JointWrite]) {
        let written = group.compactMap { joint -> (waiter: JointWrite.Waiter, at: Position)? in
            do throws(EngineError) {
                return (joint.waiter, try joint.write.position)
            } catch {
                joint.waiter.refuse(refusal(error))
                return nil
            }
        }
        guard let last = written.max(by: { $0.at.sequence < $1.at.sequence }) else { return }
        changing {
            noteWritten(last.at)
            for (waiter, position) in written {
                let pending = PendingOutcome()
                pending.tell { waiter.end($0, at: position) }
                _ = enter(position, waiter.ack, waiter.replicas, pending)
            }
        }
    }
}
