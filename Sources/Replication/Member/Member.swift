public import StorageEngine

// A member: the host of the protocol's core, on a real store.
//
//   MEMBER              what it remembers besides its log, see `MemberFile.swift`
//   LOCK                kept while the member is open
//   store-0000000001/   the store; the number is in MEMBER
//   store-0000000002/   a copy of the leader's state, or of what has changed in it, while it comes,
//                       see `CopyFormat.swift`
//   store-0000000003/   the store together with those changes
//   copy-0000000001/    a copy of this store while it is handed out; worth nothing after a restart
//
// Events go into the core under one lock, and the actions that come out are begun in order. What
// takes time is a job: of the store (records taken in, cuts, copies adopted, leading), of the mark,
// of the feeds (records read for followers, live ones and others), of copies (those that make them,
// and those that read them), of syncs. Each kind has a thread of its own, so that its jobs are done
// in order, and none of them holds the lock meanwhile. Whoever has nothing else to do does some of
// them instead, see `JobQueue`.
//
//  1. What comes behind a mark in the order of actions is begun when that is durable, not before.
//  2. The core knows the end of the log exactly before it stops to lead: a message with a higher
//     epoch is given to it when the store refuses writes, and all that it made was told.
//  3. A pack is verified before the core hears of it, and so is the size that it has in memory.
//  4. The core hears that a point is reached from the store alone, of the store's present line:
//     `disk` is what a sync covers.
//  5. A store that fails is opened again, and the core with it, as after a crash of the process.

/// One member of a replicated store: leads, or follows whoever does.
///
/// Close a member with ``close()``: until then its threads keep it alive.
///
/// Thread safety: every method may be called from any thread or task.
public final class Member: Sendable {
    /// Names the member, and its directory, for ever.
    public let id: UniqueID
    /// Who counts.
    public let membership: Membership
    /// The member's directory.
    public let path: String

    let options: MemberOptions
    let environment: Environment
    /// Stopped when the member is closed.
    package let links: any Links
    let directory: StoreDirectory
    private let directoryLock: DirectoryLock
    let broadcast = Broadcast<MemberEvent>()

    let lock = Lock()
    /// Broadcast when roles, the phase or the store change; used with the lock.
    let changed = Condition()
    /// Wakes the thread of ticks; used with the lock.
    let tickCondition = Condition()
    // The lock.
    let state: MemberState

    /// Writes of tasks that wait to be committed.
    let gathering = Gathering<JointWrite>(fewMax: 8, countMax: 32)
    let storeJobs = JobQueue(name: "member-store")
    let markJobs = JobQueue(name: "member-mark")
    let copyJobs = JobQueue(name: "member-copy")
    let copyMaking = JobQueue(name: "member-make")
    let syncJobs = JobQueue(name: "member-sync")
    private let tickJobs = JobQueue(name: "member-tick")
    // Each belongs to the jobs of its kind.
    let feed = FeedJobs(name: "member-feed")
    let catchUp = FeedJobs(name: "member-catch-up")
    let copies: OutgoingCopies

    /// Opens a member, and makes it when that is wanted and there is none.
    ///
    /// - Parameters:
    ///   - path: Its directory; when it is made, its parent must exist.
    ///   - id: Names the member. It must be the one that the directory was made with.
    ///   - membership: Who counts; the same for all members.
    ///   - links: Carries messages between the members; stopped when the member is closed.
    ///   - options: How to open it.
    ///   - environment: Files, time, randomness and threads.
    /// - Returns: The member; one that led and was closed cleanly leads.
    /// - Throws: ``EngineError`` with code `notAStore` when there is no member and none is to be
    ///   made, `wrongStore` when the directory is another member's, `locked` when it is open; what
    ///   opening its store throws.
    package static func open(
        at path: String,
        id: UniqueID,
        membership: Membership,
        links: any Links,
        options: MemberOptions = MemberOptions(),
        environment: Environment = .system()
    ) throws(EngineError) -> Member {
        let directory = try MemberDirectory.open(path, options, environment)
        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        let opening = try MemberOpening(
            id,
            in: directory,
            membership: membership,
            options: options,
            environment: environment
        )
        let member = Member(
            (directory, lock),
            opening,
            membership: membership,
            links: links,
            options: options,
            environment: environment
        )
        member.begin(isClean: opening.isClean)
        return member
    }

    private init(
        _ place: (directory: StoreDirectory, lock: DirectoryLock),
        _ opening: MemberOpening,
        membership: Membership,
        links: any Links,
        options: MemberOptions,
        environment: Environment
    ) {
        id = opening.record.memberID
        path = place.directory.path
        self.membership = membership
        self.links = links
        self.options = options
        self.environment = environment
        (directory, directoryLock) = place
        state = MemberState(opening)
        let (broadcast, lock, state) = (broadcast, lock, state)
        copies = OutgoingCopies(
            directory: directory,
            rate: options.copyRate,
            isOpen: { lock.with { state.phase == .open } },
            tell: { broadcast.send(.changesNotCopied($0)) }
        )
    }

    private func begin(isClean: Bool) {
        lock.with { give(.opened(isClean: isClean)) }
        links.start(
            { [self] packet, sender, mayWait in receive(packet, from: sender, mayWait: mayWait) },
            prepare: { [jobs = feed.jobs] here in here ? jobs.help() : jobs.wake() }
        )
        tickJobs.submit { [self] in runTicks() }
        // A leader that was closed cleanly leads at once.
        lock.with {
            while state.core.leadership != nil, state.leading == nil, state.failure == nil {
                changed.wait(lock)
            }
        }
    }

    private func runTicks() {
        lock.acquire()
        defer { lock.release() }
        while state.phase == .open {
            tick()
            let time = environment.time.monotonicNanoseconds
            tickCondition.wait(lock, until: time + options.tickInterval * 1_000_000)
        }
    }

    // MARK: The end

    /// Ends the member: what waits is indeterminate, the store is closed, and so are the links. A
    /// second call does nothing. Blocks.
    ///
    /// - Throws: ``EngineError`` when the store or the mark could not be brought to disk; the
    ///   member is closed all the same, and its next opening is as after a crash.
    public func close() throws(EngineError) {
        guard beginClosing() else { return }
        endJobs()
        defer {
            lock.with { state.phase = .closed }
            broadcast.finish()
            do throws(EngineError) { try directoryLock.release() } catch {}
        }
        let (engine, record, isSettled) = lock.with {
            let isSettled = !state.isPersisting && state.failure == nil
            defer { state.engine = nil }
            return (state.engine, state.record, isSettled)
        }
        copies.removeAll()
        feed.removeAll()
        catchUp.removeAll()
        guard let engine else { return }
        // Whatever happens, it is not in use any more.
        defer { engine.abandon() }
        try engine.stopLeading()
        let (epochs, end) = try engine.history()
        try engine.close()
        guard isSettled else { return }
        var closed = record
        closed.closed = LogOutline(epochs, end).tail
        try MemberFile.write(closed, in: directory)
    }

    /// Ends the member as the death of its process would, but for what the kernel has: nothing is
    /// written or synced any more.
    package func abandon() {
        guard beginClosing() else { return }
        endJobs()
        let engine = lock.with {
            state.phase = .closed
            return state.engine.take()
        }
        engine?.abandon()
        broadcast.finish()
        do throws(EngineError) { try directoryLock.release() } catch {}
    }

    private func endJobs() {
        links.stop()
        let readers = [feed.jobs, catchUp.jobs]
        for jobs in [tickJobs, storeJobs] + readers + [copyMaking, copyJobs, syncJobs, markJobs] {
            jobs.end()
        }
    }

    /// Whether this call is the one that closes.
    private func beginClosing() -> Bool {
        lock.with {
            guard state.phase == .open else { return false }
            state.phase = .closing
            state.leading = nil
            abandonTickets()
            tickCondition.broadcast()
            changed.broadcast()
            return true
        }
    }

    // MARK: The store

    /// The member's store: for reads, scans and its change feed; it takes no writes but by the
    /// member. `nil` before the member has a history, while another store takes its place, and once
    /// it is closed; a store that was replaced throws `closed`, and this is the next one.
    public var engine: Engine? { lock.with { state.engine } }
}
