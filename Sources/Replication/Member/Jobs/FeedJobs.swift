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

    /// The cursor of a session, at a place of the log; `nil` when that cannot be read yet.
    func cursor(
        _ session: UInt64,
        in engine: Engine,
        after tail: Tail
    ) throws(EngineError) -> RecordCursor? {
        if let known = readings[session], known.engine === engine,
            known.cursor.position.sequence == tail.sequence
        {
            return known.cursor
        }
        readings[session] = nil
        guard let cursor = try engine.recordCursor(after: tail.position) else { return nil }
        readings[session] = Reading(engine: engine, cursor: cursor)
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
    /// Reads records for a follower.
    func read(_ fetch: FeedJobs.Fetch, _ life: UInt64, by feed: FeedJobs) {
        let (engine, history, last) = lock.with {
            (
                life == state.life ? state.engine : nil, state.core.mark.history,
                state.core.log.tail.sequence
            )
        }
        // While another store takes its place there is none.
        guard let engine, let history else { return feed.park(fetch) }
        let found: (pack: Pack, bytes: [UInt8])?
        do throws(EngineError) {
            let cursor = try feed.cursor(fetch.session, in: engine, after: fetch.after)
            let sizeMax = Int(clamping: fetch.sizeMax)
            let records = try cursor?.next(through: last, sizeMax: sizeMax)
            found = records.map { $0.pack(of: history, after: fetch.after) }
        } catch {
            return fail(fetch, error, life, of: feed)
        }
        guard let found else { return feed.park(fetch) }
        changing {
            guard life == state.life else { return }
            var pack = found.pack
            pack.payload = state.keep(.bytes(found.bytes))
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

    /// Reads what could not be read before, and lets go of the cursors of sessions that are over.
    func readParked(_ life: UInt64, by feed: FeedJobs) {
        let (sessions, isLive) = lock.with {
            let core = state.core
            return (feed === catchUp ? core.catchingUp : core.sessions, life == state.life)
        }
        feed.keep(sessions)
        for fetch in feed.takeParked() where isLive && sessions.contains(fetch.session) {
            read(fetch, life, by: feed)
        }
    }

    /// Has both feeds read what could not be read before. Needs the lock.
    func readParked(_ life: UInt64) {
        for feed in [feed, catchUp] {
            begin(in: feed.jobs) { [self] _ in
                readParked(life, by: feed)
                return true
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
