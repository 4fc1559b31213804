/// Steps an engine that was opened without threads: whoever holds one decides what happens next,
/// with several units of work in flight. The units are those that threads run in production.
///
/// Thread safety: none; one owner, and no other caller of the engine's write methods.
package final class EngineStepper {
    /// A write that was submitted.
    package final class Write {
        package let ack: AckPoint
        fileprivate let ticket: Ticket
        fileprivate var waiter: Waiter?
        fileprivate var isSettled = false
        /// What a record of a leader borrows its operations from.
        private let batch: RecordBatch?

        init(_ ticket: Ticket, _ ack: AckPoint, of batch: RecordBatch? = nil) {
            self.ticket = ticket
            self.ack = ack
            self.batch = batch
        }

        /// The write's place, once it has one; also while its frame is being written.
        package var position: Position? {
            guard case .done(let result) = ticket.outcome else { return nil }
            return Position(
                epoch: result.epoch,
                sequence: result.sequence,
                logHash: result.logHash
            )
        }

        /// The write's sequence, once it has one.
        package var sequence: UInt64? { position?.sequence }

        /// The hash of its operations, as the log hash has it.
        package var digest: UInt64 { ticket.digest }
    }

    /// What became of a write.
    package enum Outcome: Sendable {
        case acknowledged(sequence: UInt64)
        case failed(EngineError)
    }

    /// Who takes a unit of work.
    package enum Actor: CaseIterable, Sendable {
        case writer, syncer, logThread, flusher, compactor, watcher, slotKeeper
    }

    /// A unit of work in flight.
    package final class Unit {
        /// Who has the work, and what came of it.
        fileprivate enum Task {
            case log(CommitPipeline.Work, CommitPipeline.Completion?)
            case maintenance(Maintenance.Work, Maintenance.Completion?)
            case slots(SlotKeeper.Work, Result<Void, EngineError>?)
        }

        fileprivate var task: Task

        fileprivate init(_ work: CommitPipeline.Work) { task = .log(work, nil) }
        fileprivate init(_ work: Maintenance.Work) { task = .maintenance(work, nil) }
        fileprivate init(_ work: SlotKeeper.Work) { task = .slots(work, nil) }

        /// Whether it was performed, and only the finish is left.
        package var isPerformed: Bool {
            switch task {
            case .log(_, let completion): completion != nil
            case .maintenance(_, let completion): completion != nil
            case .slots(_, let completion): completion != nil
            }
        }

        /// Whether it has brought the slots to disk.
        package var hasWrittenSlots: Bool {
            if case .slots(.persist, .success?) = task { true } else { false }
        }

        /// What it is, for traces.
        package var name: String {
            switch task {
            case .log(let work, _): Self.name(work)
            case .maintenance(.flush, _): "flushIndex"
            case .maintenance(.compact(let compactor), _):
                compactor.choice.isMove ? "move" : "compact"
            case .maintenance(.install, _): "install"
            case .maintenance(.remove, _): "remove"
            case .slots(.persist, _): "persistSlots"
            case .slots(.review, _): "reviewLogs"
            case .maintenance(.watch, _): "watch"
            }
        }

        private static func name(_ work: CommitPipeline.Work) -> String {
            switch work {
            case .commit(let group): group.append == nil ? "commit" : "commit+append"
            case .flush: "flush"
            case .sync: "sync"
            case .rotate: "rotate"
            case .makeAhead: "makeAhead"
            case .marker: "marker"
            case .seal: "seal"
            case .trim: "trim"
            }
        }
    }

    let pipeline: CommitPipeline
    /// The sequences that the last unit gave and withdrew, by their tickets.
    private var withdrawn: [ObjectIdentifier: UInt64] = [:]

    /// Drives an engine that was opened for writing, in an environment that starts no threads.
    package init(_ engine: Engine) {
        guard let pipeline = engine.pipeline else { preconditionFailure("the engine is read-only") }
        self.pipeline = pipeline
    }

    /// Submits a batch that is not empty; it is copied. It fails at once when writes are refused.
    package func submit(_ batch: borrowing WriteBatch, ack: AckPoint) -> Write {
        let ticket = batch.withOperations { Ticket(copying: PreparedWrite($0), ack: ack) }
        pipeline.lock.with {
            if let refusal = pipeline.refusal {
                ticket.outcome = .failed(refusal)
                ticket.isDone = true
            } else {
                pipeline.state.queue.append(ticket)
            }
        }
        return Write(ticket, ack)
    }

    /// Takes a unit of work for an actor; `nil` when there is none for him now.
    package func take(_ actor: Actor) -> Unit? {
        let maintenance = pipeline.maintenance
        switch actor {
        case .writer: return pipeline.lock.with { pipeline.takeCommit().map(Unit.init) }
        case .syncer: return pipeline.lock.with { takeForWaiters().map(Unit.init) }
        case .logThread:
            return pipeline.lock.with {
                pipeline.takeLogThreadWork(now: pipeline.now).map(Unit.init)
            }
        case .flusher:
            return maintenance.lock.with {
                maintenance.takeFlushWork(now: maintenance.now).map(Unit.init)
            }
        case .compactor:
            return maintenance.lock.with {
                maintenance.takeCompactionWork(now: maintenance.now).map(Unit.init)
            }
        case .slotKeeper: return pipeline.slots.take(now: pipeline.now).map(Unit.init)
        case .watcher:
            return maintenance.lock.with {
                maintenance.takeWatchWork(now: maintenance.now).map(Unit.init)
            }
        }
    }

    private func takeForWaiters() -> CommitPipeline.Work? {
        for waiter in pipeline.state.waiters {
            if let work = pipeline.takeWork(for: waiter.sequence, waiter.point) { return work }
        }
        return nil
    }

    /// Does a unit's I/O and its inserts.
    package func perform(_ unit: Unit) {
        withdrawn = [:]
        switch unit.task {
        case .log(let work, _): unit.task = .log(work, perform(work))
        case .maintenance(let work, _):
            unit.task = .maintenance(work, pipeline.maintenance.perform(work))
        case .slots(let work, _):
            unit.task = .slots(
                work,
                pipeline.slots.perform(work).map { .failure($0) } ?? .success(())
            )
        }
    }

    private func perform(_ work: CommitPipeline.Work) -> CommitPipeline.Completion {
        guard case .commit(let group) = work, group.append != nil else {
            return pipeline.perform(work)
        }
        let (tickets, first) = (pipeline.group, pipeline.sequencer.nextSequence)
        let completion = pipeline.perform(work)
        if case .committed(appended: true, _) = completion { return completion }
        let keptCount = tickets.count { if case .done = $0.outcome { true } else { false } }
        let given = pipeline.sequencer.nextSequence - first
        // When nothing had reached the file the same sequences are given again.
        guard given == UInt64(tickets.count + keptCount) else { return completion }
        for (index, ticket) in tickets.enumerated() {
            withdrawn[ObjectIdentifier(ticket)] = first + UInt64(index)
        }
        return completion
    }

    /// The sequence that a write had for a while in the unit that was performed last, until its
    /// append failed: under that one it may be there after a restart.
    package func withdrawnSequence(of write: Write) -> UInt64? {
        withdrawn[ObjectIdentifier(write.ticket)]
    }

    /// Whether writes are slowed or held now.
    package var isStalled: Bool {
        pipeline.lock.with {
            pipeline.state.commitTime > 0 || pipeline.state.backpressure.isHolding
        }
    }

    /// Whether writes are refused until the store is reopened.
    package var isPoisoned: Bool { pipeline.lock.with { pipeline.state.poison != nil } }

    /// Gives the unit's roles back, and wakes who waited.
    package func finish(_ unit: Unit) {
        switch unit.task {
        case .log(let work, let completion?):
            pipeline.lock.with { pipeline.finish(work, completion) }
        case .maintenance(let work, let completion?):
            let maintenance = pipeline.maintenance
            maintenance.lock.with { maintenance.finish(work, completion) }
            maintenance.readState.gate.collect()
        case .slots(let work, let completion?):
            var failure: EngineError?
            if case .failure(let error) = completion { failure = error }
            pipeline.slots.finish(work, failure)
            pipeline.maintenance.reviewLogs()
        default: preconditionFailure("perform comes first")
        }
    }

    /// What became of a write, once; `nil` while it waits, or when it was told before.
    package func outcome(of write: Write) -> Outcome? {
        pipeline.lock.with {
            guard !write.isSettled, write.ticket.isDone else { return nil }
            guard case .done(let result) = write.ticket.outcome else {
                write.isSettled = true
                if case .failed(let error) = write.ticket.outcome { return .failed(error) }
                return nil
            }
            if write.ack == .disk, !pipeline.state.reached(.disk, result.sequence) {
                return waitForDisk(write, result.sequence)
            }
            write.isSettled = true
            return .acknowledged(sequence: result.sequence)
        }
    }

    private func waitForDisk(_ write: Write, _ sequence: UInt64) -> Outcome? {
        if let waiter = write.waiter {
            guard waiter.isDone, let failure = waiter.failure else { return nil }
            write.isSettled = true
            return .failed(failure)
        }
        let waiter = Waiter(sequence: sequence, point: .disk)
        if let poison = pipeline.state.poison {
            write.isSettled = true
            return .failed(CommitPipeline.indeterminate(poison))
        }
        pipeline.state.waiters.append(waiter)
        write.waiter = waiter
        return nil
    }
}
