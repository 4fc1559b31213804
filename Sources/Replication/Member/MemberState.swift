internal import StorageEngine

/// What a member's lock protects.
///
/// Thread safety: every member needs the lock.
final class MemberState: @unchecked Sendable {
    enum Phase {
        case open
        /// Callers are refused; the jobs end.
        case closing
        case closed
    }

    /// What the payload of a message names.
    enum Payload {
        case bytes([UInt8])
        case records(RecordBatch)
    }

    var phase = Phase.open
    var core: MemberCore
    /// The line of the log that the store is on.
    var generation: UInt64
    /// `nil` before there is a history, and while another store takes its place.
    var engine: Engine?
    /// What MEMBER holds.
    var record: MemberRecord
    /// Actions in order; those before ``waitingHead`` were begun.
    var waiting: [CoreAction] = []
    var waitingHead = 0
    /// Whether a mark has to become durable before anything else is begun.
    var isPersisting = false
    var payloads: [UInt64: Payload] = [:]
    private var nextPayload: UInt64 = 0
    var tickets: [UInt64: PendingOutcome] = [:]
    private var nextTicket: UInt64 = 0
    /// The leadership under which the store accepts writes.
    var leading: Leadership?
    /// Whether somebody changes whether the store accepts writes.
    var isRoleTaken = false
    /// The points that the core was told last.
    var points: Engine.LogPoints?
    /// Why the store cannot be used, until it was opened again.
    var failure: EngineError?
    /// Whether the member is to be opened again.
    var isRestarting = false
    /// Whether a job will sync what the log has.
    var isSyncQueued = false
    /// Until when somebody may wait for followers' disks.
    var diskAwaitedUntil: Tick = 0
    /// Where a copy is put together that comes in parts.
    var incoming: IncomingCopy
    /// Whether changes did not go together with the store: the next copy must be a whole one.
    var needsWholeCopy = false
    /// Counts failures of the copy that came.
    var adoptions = Adoptions()
    /// Who has a history, so that this member did not begin one.
    var otherHistory: UniqueID?
    /// Counts the openings of the core: what an old one asked for is not done.
    var life: UInt64 = 0
    /// The log's end at some times, for lags.
    var samples = LagSamples()
    /// When copies that nobody wants any more are removed.
    var nextTidyAt: Tick = 0
    var promotion: PendingOutcome?
    /// What whoever holds the lock does once it is free; `nil` when it does not see to that, and
    /// everything is done at once. See ``Member/changing(_:)``.
    var due: [Wake]?
    /// Tells those whose wait is over, once the lock is free; empty while ``due`` is `nil`.
    var settled: [Wake] = []
    /// The jobs that whoever holds the lock does itself as far as it can, once it is free.
    var helped: JobQueue?

    init(_ opening: MemberOpening) {
        core = opening.core
        record = opening.record
        engine = opening.engine
        incoming = opening.incoming
        generation = core.generation
    }

    /// Whether so much waits for a mark that nothing more is taken: messages may be lost.
    var isCrowded: Bool { waiting.count - waitingHead > MemberState.waitingMax }

    private static let waitingMax = 10_000

    /// The next action, when one may be begun.
    func nextAction() -> CoreAction? {
        guard !isPersisting, waitingHead < waiting.count else { return nil }
        let action = waiting[waitingHead]
        waitingHead += 1
        if waitingHead == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingHead = 0
        }
        return action
    }

    func forgetActions() {
        waiting = []
        waitingHead = 0
        payloads = [:]
    }

    /// Keeps what a message names, under a new number.
    func keep(_ payload: Payload) -> UInt64 {
        nextPayload += 1
        payloads[nextPayload] = payload
        return nextPayload
    }

    /// Ends somebody's wait.
    func settle(_ pending: PendingOutcome, _ outcome: Outcome) {
        guard let tell = pending.settle(outcome) else { return }
        if due == nil { tell() } else { settled.append(tell) }
    }

    /// Wakes somebody, once the lock is free if whoever holds it sees to that.
    func wake(_ wake: @escaping Wake) {
        if due == nil { wake() } else { due?.append(wake) }
    }

    func addTicket(_ pending: PendingOutcome) -> UInt64 {
        nextTicket += 1
        tickets[nextTicket] = pending
        return nextTicket
    }
}
