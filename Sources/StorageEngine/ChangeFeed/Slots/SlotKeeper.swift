internal import Logging

// Keeps slots: their positions on disk, and for them the log.
//
// (1) An acknowledgement counts when it is in SLOTS: at most a second later, or with the next
//     change that cannot wait. Retention goes by what is in SLOTS, so that a slot never comes back
//     from a crash to a position whose log is gone.
// (2) Creating and dropping a slot waits for SLOTS.
// (3) One thread at a time writes SLOTS. After a failure it is tried again.
// (4) Its lock may be held while the catalog's is taken, and while maintenance's is held.

/// The slots of a store.
///
/// Thread safety: every method may be called from any thread.
final class SlotKeeper: @unchecked Sendable {
    private let directory: StoreDirectory
    private let historyID: UniqueID
    private let catalog: LogCatalog
    private let retention: LogRetention
    private let environment: Environment
    private let events: Broadcast<Event>
    private let logger: Logger

    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var slots: [String: Slot]
    private var persisted: [String: Slot]
    /// Counts changes; those up to the second are in SLOTS.
    private var change: UInt64 = 0
    private var persistedChange: UInt64 = 0
    /// When a change must be written at the latest.
    private var dueTime: UInt64?
    private var reviewTime: UInt64 = 0
    private var isPersisting = false
    private var isClosed = false
    private var failure: EngineError?
    /// Slots whose loss was told.
    private var lost: Set<String> = []

    /// An acknowledgement is on disk after this long.
    private static let persistDelay: UInt64 = 1_000_000_000
    private static let retryDelay: UInt64 = 100_000_000
    /// How often files are looked at for their age.
    private static let reviewInterval: UInt64 = 60_000_000_000

    /// What a keeper stands on.
    struct Foundation {
        let directory: StoreDirectory
        let historyID: UniqueID
        let catalog: LogCatalog
        let retention: LogRetention
    }

    /// Reads the slots of a store.
    init(
        _ foundation: Foundation,
        environment: Environment,
        events: Broadcast<Event>,
        logger: Logger
    ) throws(EngineError) {
        directory = foundation.directory
        historyID = foundation.historyID
        catalog = foundation.catalog
        retention = foundation.retention
        self.environment = environment
        self.events = events
        self.logger = logger
        let found = try SlotFormat.read(directory, historyID: historyID)
        // The name may be in the kernel only, from a process that was killed.
        if !found.isEmpty { try directory.syncEntries() }
        slots = Dictionary(uniqueKeysWithValues: found.map { ($0.name, $0) })
        persisted = slots
    }

    private var now: UInt64 { environment.time.monotonicNanoseconds }
    private var wallTime: UInt64 { environment.time.wallMilliseconds }

    // MARK: - Slots

    /// The slots as they are, in no order.
    var all: [Slot] { lock.with { Array(slots.values) } }

    /// A slot as it is; `nil` when there is none of that name.
    func slot(_ name: String) -> Slot? { lock.with { slots[name] } }

    /// Makes a slot, durable when this returns. One that is still bootstrapping is replaced.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when the name is in use or invalid, or
    ///   there are 1,000 slots; `trimmed` when the log was let go of meanwhile; `noSpace`, `io` or
    ///   `closed`.
    func create(
        _ name: String,
        at position: Position,
        limits: SlotLimits,
        isBootstrapping: Bool
    ) throws(EngineError) {
        guard Slot.isValid(name) else {
            throw .invalidArgument(
                "a slot's name has 1 to 64 letters, digits, dots, dashes and underscores"
            )
        }
        let time = wallTime
        let slot = Slot(
            name: name,
            position: position,
            limits: limits,
            isBootstrapping: isBootstrapping,
            creationTime: time,
            acknowledgementTime: time
        )
        try replace(name, by: slot) { old, count throws(EngineError) in
            guard old?.isBootstrapping ?? true else {
                throw .invalidArgument("there is a slot \(name) already")
            }
            guard old != nil || count < SlotFormat.countMax else {
                throw .invalidArgument("there are \(SlotFormat.countMax) slots already")
            }
            // From here on it is kept; until now it was not.
            let oldest = catalog.oldest.lastSequence
            guard position.sequence >= oldest else {
                throw EngineError(
                    .trimmed,
                    "making a slot: the log does not go back to \(position.sequence) any more",
                    sequence: oldest
                )
            }
        }
    }

    /// Removes a slot, durable when this returns.
    func drop(_ name: String) throws(EngineError) {
        try replace(name, by: nil) { old, _ throws(EngineError) in
            guard old != nil else { throw Self.absent(name) }
        }
    }

    /// Moves a slot to a position, and never back.
    func acknowledge(_ name: String, _ position: Position) throws(EngineError) {
        let time = wallTime
        try lock.with { () throws(EngineError) in
            guard !isClosed else { throw .closed }
            guard var slot = slots[name] else { throw Self.absent(name) }
            guard position.sequence >= slot.position.sequence else {
                throw .invalidArgument(
                    "slot \(name) is at \(slot.position.sequence), and does not go back to "
                        + "\(position.sequence)"
                )
            }
            slot.position = position
            slot.isBootstrapping = false
            slot.acknowledgementTime = time
            slots[name] = slot
            noteChange(dueIn: Self.persistDelay)
        }
    }

    static func absent(_ name: String) -> EngineError {
        .invalidArgument("there is no slot \(name)")
    }

    /// Puts a slot in the place of another, or of none, and waits until that is on disk. When it
    /// cannot be written, the old one is back.
    private func replace(
        _ name: String,
        by slot: Slot?,
        _ check: (_ old: Slot?, _ count: Int) throws(EngineError) -> Void
    ) throws(EngineError) {
        lock.acquire()
        defer { lock.release() }
        guard !isClosed else { throw .closed }
        let old = slots[name]
        try check(old, slots.count)
        slots[name] = slot
        noteChange(dueIn: 0)
        let wanted = change
        failure = nil
        while persistedChange < wanted {
            if let work = takePersist(now: .max) {
                perform(unlocked: work)
            } else {
                condition.wait(lock)
            }
            guard persistedChange < wanted, let failure else { continue }
            slots[name] = old
            throw failure
        }
    }

    private func noteChange(dueIn delay: UInt64) {
        change += 1
        dueTime = min(dueTime ?? .max, now + delay)
        condition.broadcast()
    }

    // MARK: - Units of work

    enum Work {
        case persist([String: Slot], change: UInt64)
        /// Looks whether files have become too old.
        case review
    }

    /// Takes what is due, `nil` for nothing.
    func take(now: UInt64) -> Work? {
        lock.with {
            if let work = takePersist(now: now) { return work }
            guard now >= reviewTime, !isClosed else { return nil }
            reviewTime = now + Self.reviewInterval
            return .review
        }
    }

    private func takePersist(now: UInt64) -> Work? {
        guard let due = dueTime, now >= due, !isPersisting else { return nil }
        isPersisting = true
        dueTime = nil
        return .persist(slots, change: change)
    }

    /// Does a unit of work, and returns why that failed.
    func perform(_ work: Work) -> EngineError? {
        guard case .persist(let slots, _) = work else { return nil }
        do throws(EngineError) {
            let bytes = SlotFormat.encode(Array(slots.values), historyID: historyID)
            try directory.durableReplace(.slots, with: bytes)
            return nil
        } catch {
            return error
        }
    }

    /// Notes what came of a unit of work.
    func finish(_ work: Work, _ failure: EngineError?) {
        guard case .persist(let slots, let change) = work else { return }
        lock.with {
            isPersisting = false
            self.failure = failure
            if failure == nil {
                persisted = slots
                persistedChange = change
            } else {
                dueTime = min(dueTime ?? .max, now + Self.retryDelay)
            }
            condition.broadcast()
        }
        if let failure {
            logger.warning("writing the slots failed", metadata: ["error": "\(failure)"])
        }
    }

    /// The lock is held, and let go meanwhile.
    private func perform(unlocked work: Work) {
        lock.release()
        finish(work, perform(work))
        lock.acquire()
    }

    // MARK: - Retention

    /// The last log file that nobody needs any more, of those that recovery does not need; they are
    /// taken out of the catalog. Tells of slots that are lost by that.
    func removableLog(obsolete: UInt64) -> UInt64 {
        let files = catalog.files.filter { $0.number <= obsolete }.compactMap { file in
            file.end.map { end in
                LogRetention.File(
                    number: file.number,
                    size: end.length,
                    lastSequence: end.lastSequence,
                    time: file.lastStamp >> 16
                )
            }
        }
        let (removable, newlyLost) = lock.with {
            let known = needed
            let oldest = catalog.oldest.lastSequence
            let live = known.filter { $0.position.sequence >= oldest }
            let decision = retention.decision(files, live, now: wallTime)
            if decision.removable > 0 { catalog.removeAll(through: decision.removable) }
            let newOldest = catalog.oldest.lastSequence
            let newlyLost = known.filter {
                $0.position.sequence < newOldest && lost.insert($0.name).inserted
            }
            return (decision.removable, newlyLost)
        }
        for slot in newlyLost {
            events.send(.slotLost(name: slot.name, position: slot.position))
            logger.warning("a slot is lost", metadata: ["slot": "\(slot.name)"])
        }
        return removable
    }

    /// The slots that the log is kept for, sorted by name: as they are in SLOTS, and those that are
    /// on their way there. Needs the lock.
    private var needed: [Slot] {
        let new = slots.values.filter { persisted[$0.name] == nil }
        return (persisted.values + new).sorted { $0.name < $1.name }
    }

    /// Takes files out of the catalog although the window would keep them; slots are asked first.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` when a slot needs them.
    func checkTrim(through sequence: UInt64) throws(EngineError) {
        let oldest = catalog.oldest.lastSequence
        let needy = lock.with {
            needed.filter { (oldest..<sequence).contains($0.position.sequence) }
        }.map(\.name).min()
        guard let needy else { return }
        throw .invalidArgument("slot \(needy) still needs the log before sequence \(sequence)")
    }

    // MARK: - Thread

    /// Does what is due until the keeper is closed; `onChange` is called when files may have become
    /// removable.
    func run(_ onChange: () -> Void) {
        while true {
            if let work = take(now: now) {
                finish(work, perform(work))
                onChange()
                continue
            }
            lock.acquire()
            if isClosed {
                lock.release()
                return
            }
            let time = min(dueTime ?? .max, reviewTime)
            if time > now { condition.wait(lock, until: time) }
            lock.release()
        }
    }

    /// Writes what was acknowledged, and refuses everything from now on.
    ///
    /// - Throws: ``EngineError`` when it cannot be written: the slots are then a little behind.
    func close() throws(EngineError) {
        lock.acquire()
        while isPersisting { condition.wait(lock) }
        failure = nil
        if let work = takePersist(now: .max) { perform(unlocked: work) }
        isClosed = true
        condition.broadcast()
        let failure = failure
        lock.release()
        if let failure { throw failure }
    }

    /// Refuses everything from now on.
    func abandon() {
        lock.with {
            isClosed = true
            condition.broadcast()
        }
    }
}
