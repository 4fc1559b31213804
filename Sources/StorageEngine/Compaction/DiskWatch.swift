internal import Logging
internal import Synchronization

/// Watches the disk: how much of it is free, and whether a sync of the log does not come back.
///
/// It looks from a thread of its own, which no slow flush or sync holds up, and never from the
/// write path. What it finds is judged by ``Maintenance``.
///
/// Thread safety: `syncBegan` and `syncEnded` are called by whoever has the sync role; `look` by
/// one thread at a time.
final class DiskWatch: Sendable {
    private let directory: StoreDirectory
    private let events: Broadcast<Event>
    /// When the sync that runs began, 0 while none does.
    private let syncStart = Atomic<UInt64>(0)
    /// The start of the sync that was last told of.
    private let toldStart = Atomic<UInt64>(0)

    /// A sync that takes longer is told of, in nanoseconds.
    static let slowSyncTime: UInt64 = 1_000_000_000
    /// How long it is until the next look, while space is plentiful and while it is not.
    static let delay: UInt64 = 1_000_000_000
    static let shortDelay: UInt64 = 100_000_000

    init(directory: StoreDirectory, events: Broadcast<Event>) {
        self.directory = directory
        self.events = events
    }

    func syncBegan(at time: UInt64) { syncStart.store(max(time, 1), ordering: .relaxed) }

    /// Tells of a sync that was slow.
    func syncEnded(after time: UInt64) {
        syncStart.store(0, ordering: .relaxed)
        if time >= Self.slowSyncTime { events.send(.slowSync(nanoseconds: time)) }
    }

    /// Tells once of a sync that should have come back by now, and returns the bytes that are free;
    /// `nil` when the system does not say.
    func look(now: UInt64) -> UInt64? {
        let start = syncStart.load(ordering: .relaxed)
        if start != 0, now >= start + Self.slowSyncTime,
            toldStart.exchange(start, ordering: .relaxed) != start
        {
            events.send(.syncHangs(nanoseconds: now - start))
        }
        do throws(EngineError) { return try directory.freeSpace() } catch { return nil }
    }
}

extension Maintenance {
    /// Looks at the disk now and then until maintenance is closed.
    func runWatchThread() {
        lock.acquire()
        while state.phase != .closed {
            if let work = takeWatchWork(now: now) {
                perform(unlocked: work)
            } else {
                condition.wait(lock, until: state.watchTime)
            }
        }
        lock.release()
    }

    /// Takes a look at the disk, when it is time. Needs the lock.
    func takeWatchWork(now: UInt64) -> Work? {
        guard !state.isWatching, now >= state.watchTime else { return nil }
        state.isWatching = true
        return .watch
    }

    /// Notes how many bytes are free; `nil` for unknown, which changes nothing. Needs the lock.
    func noteFree(_ free: UInt64?) {
        state.isWatching = false
        state.freeSpace = free ?? state.freeSpace
        let isPlenty = (free ?? .max) / 16 > limits.lowSpaceLimit
        state.watchTime = now + (isPlenty ? DiskWatch.delay : DiskWatch.shortDelay)
        guard let free else { return }
        if state.spaceFailure == nil, free < limits.lowSpaceLimit {
            state.spaceFailure = EngineError(
                .noSpace,
                "\(free) bytes are free, at least \(limits.lowSpaceLimit) must be"
            )
            logger.warning("low space; writes are refused", metadata: ["freeBytes": "\(free)"])
            events.send(.lowSpace(freeBytes: free))
        } else if state.spaceFailure != nil, free >= limits.lowSpaceLimit,
            // A little more than the limit, lest it goes to and fro.
            free - limits.lowSpaceLimit >= limits.lowSpaceLimit / 8
        {
            state.spaceFailure = nil
            logger.info("space is there again", metadata: ["freeBytes": "\(free)"])
            events.send(.lowSpaceEnded(freeBytes: free))
        }
    }

    /// Whether the outputs of a compaction and a flush beside it have room, as far as it is known.
    /// One that has not would fill the disk, fail, and begin again. Needs the lock.
    func hasRoom(for choice: CompactionChoice) -> Bool {
        guard !choice.isMove, let free = state.freeSpace else { return true }
        let promised = state.running.reduce(UInt64(limits.writeBufferSize)) {
            $0 + ($1.isMove ? 0 : $1.size)
        }
        let hasRoom = free >= promised + choice.size
        if !hasRoom, !state.isCompactionTooLarge {
            events.send(
                .noSpace(
                    EngineError(
                        .noSpace,
                        "compacting level \(choice.level): \(choice.size) bytes are to be merged, "
                            + "\(free) are free"
                    )
                )
            )
        }
        state.isCompactionTooLarge = !hasRoom
        return hasRoom
    }
}
