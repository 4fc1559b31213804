internal import StorageEngine

// Events in, actions out. Everything here runs under the member's lock unless it says otherwise,
// and is free of I/O and waiting.

extension Member {
    /// The protocol's clock.
    var now: Tick { environment.time.monotonicNanoseconds / 1_000_000 }

    /// Changes what the lock protects, and once it is free wakes whom that concerns. The closure
    /// must not let the lock go meanwhile.
    func changing<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        lock.acquire()
        state.due = []
        defer {
            let due = state.due.take() ?? []
            let settled = state.settled
            state.settled = []
            lock.release()
            for wake in due { wake() }
            Self.tell(settled)
        }
        return try body()
    }

    /// Tells those whose wait is over, without the lock. A thread outside of the tasks' pool would
    /// wake one of the pool's threads for each task that it resumes, as that one is done with the
    /// task before by then: where there are many, a task resumes them.
    private static func tell(_ settled: [Wake]) {
        guard settled.count > toldAtOnceMax else {
            for tell in settled { tell() }
            return
        }
        Task.detached { for tell in settled { tell() } }
    }

    /// So many are told sooner by whoever has settled them.
    private static let toldAtOnceMax = 4

    /// Gives an event to the core and begins what comes out of it. Needs the lock. The payload that
    /// the event names is forgotten unless an action names it too.
    func give(_ event: CoreEvent, naming payload: UInt64? = nil) {
        guard state.phase == .open, !state.isRestarting else {
            if let payload { state.payloads[payload] = nil }
            return
        }
        let actions = state.core.handle(event, now: now)
        if let payload, !actions.contains(where: { $0.payload == payload }) {
            state.payloads[payload] = nil
        }
        state.waiting += actions
        if state.core.leadership == nil { state.leading = nil }
        beginActions()
    }

    /// Begins actions in order, up to a mark that has to become durable first. Needs the lock.
    func beginActions() {
        while let action = state.nextAction() { begin(action) }
    }

    private func begin(_ action: CoreAction) {
        let life = state.life
        switch action {
        case .persist(let mark):
            state.isPersisting = true
            markJobs.submit { [self] in persist(mark, life) }
        case .send(let message, let receiver):
            if let wake = links.send(packet(message), to: receiver) { state.wake(wake) }
        case .lead(let leadership):
            storeJobs.submit { [self] in lead(leadership, life) }
        case .stopLeading:
            changed.broadcast()
        case .appendNoOp:
            storeJobs.submit { [self] in appendNoOp(life) }
        case .complete(let ticket, let outcome):
            guard let pending = state.tickets.removeValue(forKey: ticket) else { break }
            state.settle(pending, outcome)
        case .notice(let notice):
            note(notice)
        case .apply(let pack, let generation):
            begin(in: storeJobs) { [self] mayWait in
                apply(pack, generation, life, mayWait: mayWait)
            }
        case .cut, .storePart, .adoptCopy:
            storeJobs.submit { [self] in perform(action, life) }
        case .fetch(let session, let follower, let after, let sizeMax):
            let fetch = FeedJobs.Fetch(session: session, after: after, sizeMax: sizeMax)
            // Who catches up reads files, for which no link waits.
            let isBehind = state.core.catchingUp.contains(session)
            let feed = isBehind ? catchUp : feed
            begin(in: feed.jobs, asking: isBehind ? nil : follower) { [self] mayWait in
                read(fetch, life, by: feed, mayWait: mayWait)
            }
        case .openCopy:
            copyMaking.submit { [self] in performCopy(action, life) }
        case .readPart:
            copyJobs.submit { [self] in performCopy(action, life) }
        }
    }

    /// Has a job done once the lock is free: by whoever holds it when it helps, else by the link to
    /// a member when there is one. Needs the lock.
    func begin(
        in queue: JobQueue,
        asking member: UniqueID? = nil,
        _ job: @escaping JobQueue.Job
    ) {
        queue.add(job)
        if state.helped === queue {
            state.wake { queue.help() }
        } else if let member, let wake = links.ask(member) {
            state.wake(wake)
        } else {
            state.wake { queue.wake() }
        }
    }

    /// A message with the bytes that it names.
    private func packet(_ message: Message) -> Packet {
        guard let number = message.payload,
            case .bytes(let bytes)? = state.payloads.removeValue(forKey: number)
        else { return Packet(message: message, payload: []) }
        return Packet(message: message, payload: bytes)
    }

    // MARK: Time

    /// Lets time pass. Needs the lock.
    func tick() {
        notePoints()
        noteFailure()
        // While a mark cannot be written nothing leaves: what waits is bounded.
        if !state.isCrowded { give(.tick) }
        if let points = state.engine?.logPoints {
            state.samples.add(points, now: now)
            // Nobody waits for it, or a follower would have synced it when it came.
            if state.leading == nil, points.synced < points.appended { queueSync() }
        }
        settlePromotion()
        let life = state.life
        if isBehindStore { feed.jobs.submit { [self] in noteEnd(life) } }
        readParked(life)
        guard now >= state.nextTidyAt else { return }
        state.nextTidyAt = now + 5_000
        copyJobs.submit { [self] in copies.removeIdle(now: now) }
    }

    /// Whether the store has made records that the core was not told of. Needs the lock.
    private var isBehindStore: Bool {
        guard state.leading != nil, let points = state.points else { return false }
        return points.readable > state.core.log.tail.sequence
    }

    /// Tells the core of records that nobody waits for. A job of the feed.
    private func noteEnd(_ life: UInt64) {
        guard let engine = lock.with({ state.leading == nil ? nil : state.engine }) else { return }
        do throws(EngineError) {
            let end = try engine.history().end
            lock.with { if life == state.life { noteAppended(end) } }
        } catch {
            // The log has failed, which the next tick finds, or was closed.
        }
    }

    /// Tells the core how far the store's log has come. Needs the lock.
    func notePoints() {
        guard let points = state.engine?.logPoints, points != state.points else { return }
        state.points = points
        var watermarks = Watermarks()
        watermarks.received = points.readable
        watermarks.applied = points.readable
        watermarks.wal = points.appended
        watermarks.disk = points.synced
        give(.reached(watermarks, generation: state.generation))
        changed.broadcast()
    }

    // MARK: Messages

    /// Notes that somebody waits for followers' disks: for some time every pack that this member
    /// hands out says so. A write that waits longer than that for its record to be sent waits for
    /// the followers' next tick besides. Needs the lock.
    func noteDiskAwaited() { state.diskAwaitedUntil = now + 1_000 }

    /// A pack up to this size, packed and unpacked, is verified in no time.
    private static let quickSizeMax: UInt64 = 64 << 10
    /// Bytes of records that threads take in which must not wait: some 100 µs of work.
    private static let smallSizeMax: UInt64 = 16 << 10

    /// Takes what the links deliver; returns whether it did. Any thread, without the lock.
    func receive(_ packet: Packet, from sender: UniqueID, mayWait: Bool) -> Bool {
        switch packet.message {
        case .pack(let session, let epoch, let pack):
            guard mayWait || max(pack.size, UInt64(packet.payload.count)) <= Self.quickSizeMax
            else { return false }
            guard let records = verify(pack, packet.payload, session, from: sender) else { break }
            changing {
                // What is small is in the page cache before another thread would be awake.
                if !mayWait, pack.size <= Self.smallSizeMax { state.helped = storeJobs }
                defer { state.helped = nil }
                if pack.isAwaitedOnDisk { noteDiskAwaited() }
                var pack = pack
                pack.payload = state.keep(.records(records))
                let message = Message.pack(session: session, epoch: epoch, pack)
                give(.received(message, from: sender), naming: pack.payload)
            }
        case .part(let session, let part):
            guard part.size == UInt64(packet.payload.count) else { break }
            lock.with {
                guard state.core.isFed(by: sender, session: session) else { return }
                var part = part
                part.payload = state.keep(.bytes(packet.payload))
                let message = Message.part(session: session, part)
                give(.received(message, from: sender), naming: part.payload)
            }
        default:
            return receive(packet.message, from: sender, mayWait: mayWait)
        }
        return true
    }

    private func receive(_ message: Message, from sender: UniqueID, mayWait: Bool) -> Bool {
        let isTaken = changing {
            guard !state.isCrowded else { return true }
            guard !isDeposing(message) else { return false }
            give(.received(message, from: sender))
            return true
        }
        guard !isTaken, mayWait else { return isTaken }
        lock.with { receiveQuietly(message, from: sender) }
        return true
    }

    /// The records of a pack that is what its message says; `nil` for any other.
    private func verify(
        _ pack: Pack,
        _ bytes: [UInt8],
        _ session: UInt64,
        from sender: UniqueID
    ) -> RecordBatch? {
        let (isWanted, history) = lock.with {
            (state.core.isFed(by: sender, session: session), state.core.mark.history)
        }
        guard isWanted else { return nil }
        do throws(EngineError) {
            let sizeMax = Int(clamping: min(pack.size, 1 << 40)) + PackFormat.headerSize
            let found = try UnpackedRecords(bytes, sizeMax: sizeMax)
            guard pack.names(found, of: history) else {
                throw .invalidArgument("a pack that its message does not describe")
            }
            return found.records
        } catch {
            broadcast.send(.refused(sender, error.description))
            return nil
        }
    }

    // MARK: Stepping down

    /// Whether a message may end this member's lead. Needs the lock.
    private func isDeposing(_ message: Message) -> Bool {
        guard state.core.leadership != nil, let epoch = message.namedEpoch else { return false }
        let promised = state.core.mark.promised
        return epoch != promised && epoch.number >= promised.number
    }

    /// Takes a message that may end this member's lead, once the store makes no record any more,
    /// and the core knows of all that it made. Needs the lock, and lets it go meanwhile.
    private func receiveQuietly(_ message: Message, from sender: UniqueID) {
        takeRole()
        defer { giveRoleBack() }
        let event = CoreEvent.received(message, from: sender)
        guard let leading = state.leading, let engine = state.engine else { return give(event) }
        state.leading = nil
        let life = state.life
        lock.release()
        let end = Result { () throws(EngineError) in
            try engine.stopLeading()
            return try engine.history().end
        }
        lock.acquire()
        guard life == state.life else { return }
        switch end {
        case .success(let end):
            noteAppended(end)
            give(event)
            guard state.core.leadership == leading else { return }
            storeJobs.submit { [self] in lead(leading, life) }
        case .failure(let error):
            // The message is lost, and will be said again.
            restart(for: error)
        }
    }

    /// Tells the core of the records that the store made as leader. Needs the lock.
    func noteAppended(_ end: Position) {
        guard let leadership = state.core.leadership, end.epoch == leadership.epoch,
            end.sequence > state.core.log.tail.sequence, let hash = end.logHash
        else { return }
        give(.appended(Tail(epoch: end.epoch, sequence: end.sequence, logHash: hash)))
        // What was told of records that the core did not know of did not count: it is told again.
        state.points = nil
    }

    /// Waits until nobody else changes whether the store accepts writes. Needs the lock, and lets
    /// it go meanwhile.
    func takeRole() {
        while state.isRoleTaken { changed.wait(lock) }
        state.isRoleTaken = true
    }

    func giveRoleBack() {
        state.isRoleTaken = false
        changed.broadcast()
    }

    // MARK: Callers

    /// Ends what callers wait for: nothing more will be known. Needs the lock.
    func abandonTickets() {
        let epoch = state.core.log.tail.epoch
        let tickets = state.tickets
        state.tickets = [:]
        let receipt = ReplicaReceipt(
            epoch: epoch,
            sequence: 0,
            local: nil,
            followers: [],
            isDegraded: false
        )
        let waiting = Array(tickets.values) + [state.promotion.take()].compactMap { $0 }
        for pending in waiting { state.settle(pending, .indeterminate(receipt, .noLongerLeading)) }
    }
}

extension CoreAction {
    /// The bytes that the action names.
    fileprivate var payload: UInt64? {
        switch self {
        case .apply(let pack, _): pack.payload
        case .storePart(let part, _): part.payload
        case .send(let message, _): message.payload
        default: nil
        }
    }
}

extension Message {
    /// The bytes that the message names.
    fileprivate var payload: UInt64? {
        switch self {
        case .pack(_, _, let pack): pack.payload
        case .part(_, let part): part.payload
        default: nil
        }
    }

    /// The highest epoch that the message says somebody has promised.
    fileprivate var namedEpoch: Epoch? {
        switch self {
        case .hello(let hello): hello.promised
        case .report(let report): report.promised
        case .answer(let answer): answer.promised
        case .consult(let consult): consult.epoch
        case .refusal(let refusal):
            if case .fenced(let epoch, _) = refusal.reason { epoch } else { nil }
        case .follow, .take, .welcome, .pack, .offer, .part, .beat: nil
        }
    }
}

extension Pack {
    /// Whether this is what verified records are.
    fileprivate func names(_ found: UnpackedRecords, of history: UniqueID?) -> Bool {
        let header = found.header
        let startsEpoch = header.flags.contains(.startsEpoch)
        return header.historyID == history && header.epoch == epoch
            && beginning == (startsEpoch ? [epoch] : [])
            && header.previousSequence == previousSequence
            && found.records.hashBefore == hashBefore && header.firstSequence == first
            && header.lastSequence == last && header.logHashAfter == hashAfter
            && UInt64(header.rawSize) == size
    }
}
