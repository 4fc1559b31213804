internal import StorageEngine

/// A task's write that is committed together with those of others.
struct JointWrite: Sendable {
    let write: GatheredWrite
    let ack: AckPoint
    let replicas: Requirement
    let task: CheckedContinuation<Result<ReplicatedReceipt, ReplicationError>, Never>
}

/// Writes of several tasks at a time, which are committed together.
extension Member {
    /// Commits a batch together with those of other tasks, and waits for its own point, memory or
    /// the log, and that of followers.
    func writeWithOthers(
        _ batch: borrowing WriteBatch,
        _ ack: AckPoint,
        _ replicas: Requirement,
        _ sequence: UInt64?
    ) async throws -> ReplicatedReceipt {
        try Task.checkCancellation()
        let write = GatheredWrite(batch, sequence: sequence, ack: ack)
        let result = await withCheckedContinuation { task in
            let joint = JointWrite(write: write, ack: ack, replicas: replicas, task: task)
            if gathering.add(joint) { Task { await commitGathered() } }
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
            for write in admitted { write.task.resume(returning: .failure(refusal)) }
            return
        }
        enroll(admitted)
    }

    /// Those that the store may take, and the store; the others are refused.
    private func admit(_ group: [JointWrite]) -> ([JointWrite], Engine?) {
        let answers = lock.with {
            group.map { write in
                Result { () throws(ReplicationError) in try admit(write.replicas) }
            }
        }
        var engine: Engine?
        var admitted: [JointWrite] = []
        for (write, answer) in zip(group, answers) {
            switch answer {
            case .success(let store):
                engine = store
                admitted.append(write)
            case .failure(let error): write.task.resume(returning: .failure(error))
            }
        }
        return (admitted, engine)
    }

    /// Tells the core of records, and of who waits for them.
    private func enroll(_ group: [JointWrite]) {
        let written = group.compactMap { write -> (JointWrite, Position)? in
            do throws(EngineError) {
                return (write, try write.write.position)
            } catch {
                write.task.resume(returning: .failure(refusal(error)))
                return nil
            }
        }
        guard let last = written.max(by: { $0.1.sequence < $1.1.sequence }) else { return }
        changing {
            noteWritten(last.1)
            for (write, position) in written {
                let pending = PendingOutcome()
                pending.tell { write.end($0, at: position) }
                _ = enter(position, write.ack, write.replicas, pending)
            }
        }
    }
}

extension JointWrite {
    /// Resumes the task, whose write is in the history.
    fileprivate func end(_ outcome: Outcome, at position: Position) {
        let result = Result { () throws(ReplicationError) in
            try Member.result(outcome, position, ack)
        }
        task.resume(returning: result)
    }
}
