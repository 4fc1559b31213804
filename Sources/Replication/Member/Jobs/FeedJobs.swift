internal import StorageEngine

/// What the jobs of a feed keep from one to the next: a cursor a session, and what could not be
/// answered yet. There is one for followers that are live and one for those that catch up, whose
/// records come from files: so the ones do not wait for the others.
///
/// Thread safety: belongs to the jobs of its feed, and once these have ended to whoever ended them;
/// ``jobs`` may be used from any thread.
final class FeedJobs: @unchecked Sendable {
    struct Fetch: Sendable {
        let session: UInt64
        let after: Tail
        let sizeMax: UInt64
    }

    private struct Reading {
        let engine: Engine
        let cursor: RecordCursor
    }

    let jobs: JobQueue
    private var readings: [UInt64: Reading] = [:]
    /// Of records that are not readable yet: a relay has them in memory only.
    private(set) var parked: [Fetch] = []

    init(name: String) { jobs = JobQueue(name: name) }

    func park(_ fetch: Fetch) { parked.append(fetch) }

    func takeParked() -> [Fetch] {
        defer { parked = [] }
        return parked
    }

    /// What an engine has for a follower, up to a sequence; `later` only for who must not wait.
    ///
    /// - Throws: ``EngineError`` as ``RecordCursor`` and ``Engine/recordCursor(after:)``.
    func records(
        for fetch: Fetch,
        in engine: Engine,
        through last: UInt64,
        mayWait: Bool
    ) throws(EngineError) -> RecordCursor.Step {
        let sizeMax = Int(clamping: fetch.sizeMax)
        if let cursor = known(fetch, in: engine), !mayWait {
            return try cursor.nextAtOnce(through: last, sizeMax: sizeMax)
        }
        // A cursor that is opened compares the records where it begins.
        guard mayWait else { return .later }
        let records = try cursor(for: fetch, in: engine)?.next(through: last, sizeMax: sizeMax)
        return records.map(RecordCursor.Step.records) ?? .nothing
    }

    /// The cursor of a session, if it is where the follower is.
    private func known(_ fetch: Fetch, in engine: Engine) -> RecordCursor? {
        guard let known = readings[fetch.session], known.engine === engine,
            known.cursor.position.sequence == fetch.after.sequence
        else { return nil }
        return known.cursor
    }

    /// The cursor of a session; `nil` when the records cannot be read yet.
    private func cursor(
        for fetch: Fetch,
        in engine: Engine
    ) throws(EngineError) -> RecordCursor? {
        if let known = known(fetch, in: engine) { return known }
        readings[fetch.session] = nil
        guard let cursor = try engine.recordCursor(after: fetch.after.position) else { return nil }
        readings[fetch.session] = Reading(engine: engine, cursor: cursor)
        return cursor
    }

    /// Forgets a cursor, which has failed.
    func remove(_ session: UInt64) { readings[session] = nil }

    /// Keeps the cursors of those sessions that there are.
    func keep(_ sessions: [UInt64]) {
        readings = readings.filter { sessions.contains($0.key) }
    }

    func removeAll() {
        readings = [:]
        parked = []
    }
}

extension Member {
    /// Reads records for a follower; returns whether it did what there was to do.
    func read(
        _ fetch: FeedJobs.Fetch,
        _ life: UInt64,
        by feed: FeedJobs,
        mayWait: Bool
    ) -> Bool {
        let (engine, history, last) = lock.with {
            (
                life == state.life ? state.engine : nil, state.core.mark.history,
                state.core.log.tail.sequence
            )
        }
        // While another store takes its place there is none.
        guard let engine, let history else {
            feed.park(fetch)
            return true
        }
        do throws(EngineError) {
            switch try feed.records(for: fetch, in: engine, through: last, mayWait: mayWait) {
            case .later: return false
            case .nothing: feed.park(fetch)
            case .records(let records): hand(records, of: history, to: fetch, life)
            }
        } catch {
            fail(fetch, error, life, of: feed)
        }
        return true
    }

    /// Packs records for a follower.
    private func hand(
        _ records: RecordBatch,
        of history: UniqueID,
        to fetch: FeedJobs.Fetch,
        _ life: UInt64
    ) {
        var (pack, bytes) = records.pack(of: history, after: fetch.after)
        changing {
            guard life == state.life else { return }
            pack.payload = state.keep(.bytes(bytes))
            pack.isAwaitedOnDisk = state.diskAwaitedUntil > now
            give(.fetched(session: fetch.session, .pack(pack)), naming: pack.payload)
        }
    }

    private func fail(
        _ fetch: FeedJobs.Fetch,
        _ error: EngineError,
        _ life: UInt64,
        of feed: FeedJobs
    ) {
        feed.remove(fetch.session)
        let result: Fetched
        switch error.code {
        case .trimmed: result = .trimmed
        case .diverged, .ahead: result = .diverged
        default:
            // The store was closed, or could not be read: it is tried again with the next tick.
            if error.code != .closed { broadcast.send(.storeFailed(error)) }
            return feed.park(fetch)
        }
        lock.with {
            guard life == state.life else { return }
            give(.fetched(session: fetch.session, result))
        }
    }

    /// Reads what could not be read before, and lets go of the cursors of sessions that are over;
    /// returns whether it did what there was to do.
    private func readParked(_ life: UInt64, by feed: FeedJobs, mayWait: Bool) -> Bool {
        let (sessions, isLive) = lock.with {
            let core = state.core
            return (feed === catchUp ? core.catchingUp : core.sessions, life == state.life)
        }
        feed.keep(sessions)
        var isDone = true
        for fetch in feed.takeParked() where isLive && sessions.contains(fetch.session) {
            guard !read(fetch, life, by: feed, mayWait: mayWait) else { continue }
            feed.park(fetch)
            isDone = false
        }
        return isDone
    }

    /// Has both feeds read what could not be read before. Needs the lock.
    func readParked(_ life: UInt64) {
        for feed in [feed, catchUp] {
            begin(in: feed.jobs) { [self] mayWait in
                readParked(life, by: feed, mayWait: mayWait)
            }
        }
    }
}

extension RecordBatch {
    /// The records as a pack behind the end of a log, and its bytes.
    fileprivate func pack(of history: UniqueID, after tail: Tail) -> (pack: Pack, bytes: [UInt8]) {
        let startsEpoch = epoch != tail.epoch
        let (bytes, size) = packed(
            of: history,
            after: tail.logHash,
            startsEpoch: startsEpoch
        )
        let pack = Pack(
            from: tail,
            to: Tail(end),
            beginning: startsEpoch ? [epoch] : [],
            first: entries.first?.head.sequence ?? tail.sequence,
            size: UInt64(size),
            payload: 0
        )
        return (pack, bytes)
    }
}
