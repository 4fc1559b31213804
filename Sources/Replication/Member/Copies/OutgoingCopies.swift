internal import StorageEngine

/// The copies of the store that are handed out. Each is a checkpoint, or has what changed since a
/// place, in a directory of its own; and a slot that keeps the log from its end on.
///
/// Thread safety: ``offer(of:since:isWhole:id:now:)`` belongs to the jobs that make copies, parts
/// and removals to those of copies, and once both have ended to whoever ended them.
final class OutgoingCopies: @unchecked Sendable {
    private final class Copy: @unchecked Sendable {
        let offer: CopyOffer
        /// Where a delta begins; `nil` for a whole copy.
        let start: Tail?
        let number: UInt64
        let directory: StoreDirectory
        let engine: Engine
        let contents: [UInt8]
        let entries: [CopyFormat.Entry]
        /// Where each file begins in the stream.
        let starts: [UInt64]
        let size: UInt64
        // The lock of the copies.
        var lastUsed: Tick

        init(
            _ offer: (id: UInt64, log: LogOutline, start: Tail?),
            number: UInt64,
            in directory: StoreDirectory,
            of engine: Engine,
            _ entries: [CopyFormat.Entry],
            now: Tick
        ) {
            start = offer.start
            self.number = number
            self.directory = directory
            self.engine = engine
            self.entries = entries
            contents = CopyFormat.encode(entries)
            var starts: [UInt64] = []
            var end = UInt64(contents.count)
            for entry in entries {
                starts.append(end)
                end += entry.size
            }
            self.starts = starts
            size = end
            lastUsed = now
            self.offer = CopyOffer(
                id: offer.id,
                kind: start == nil ? .base : .delta,
                log: offer.log,
                partCount: CopyFormat.partCount(of: end)
            )
        }
    }

    private let directory: StoreDirectory
    /// The most bytes that are read in a second.
    let rate: UInt64?
    /// Is told why changes could not be copied.
    private let tell: @Sendable (EngineError) -> Void
    /// Whether the member is to go on: reading a large store takes long.
    private let isOpen: @Sendable () -> Bool
    // The jobs that make copies.
    private var nextNumber: UInt64 = 1
    private let lock = Lock()
    // The lock.
    private var copies: [Copy] = []
    /// Counts the times that all copies were removed: one that was being made then goes as well.
    private var removals: UInt64 = 0

    /// A copy that nobody asked for so long is removed, in milliseconds.
    private static let idleMax: Tick = 60_000
    private static let slotPrefix = "member-copy-"

    init(
        directory: StoreDirectory,
        rate: UInt64?,
        isOpen: @escaping @Sendable () -> Bool,
        tell: @escaping @Sendable (EngineError) -> Void
    ) {
        self.directory = directory
        self.rate = rate
        self.isOpen = isOpen
        self.tell = tell
    }

    /// A copy for a follower whose log ends at a place, or before: one that there is, or a new one.
    /// What has changed since that place when that is known, the follower's state is exactly that
    /// of it, and there is room for it; everything otherwise, which takes hardly any.
    ///
    /// - Throws: ``EngineError`` when none can be made.
    func offer(
        of engine: Engine,
        since tail: Tail,
        isWhole: Bool,
        id: () -> UInt64,
        now: () -> Tick
    ) throws(EngineError) -> CopyOffer {
        let (all, removals) = lock.with { (copies, self.removals) }
        let known = all.last { copy in
            let fits = copy.start.map { !isWhole && $0 == tail } ?? true
            return fits && copy.engine === engine && !tail.ranksAbove(copy.offer.log.tail)
                && isUsable(copy)
        }
        if let known, use(known, now: now()) { return known.offer }
        let number = nextNumber
        nextNumber += 1
        do throws(EngineError) {
            let start = isWhole ? nil : tail
            let copy = try make(number, of: engine, since: start, id: id, now: now)
            try lock.with { () throws(EngineError) in
                // The store that it is of is not the member's any more.
                guard removals == self.removals else { throw .closed }
                copies.append(copy)
            }
            return copy.offer
        } catch {
            remove(number, of: engine)
            throw error
        }
    }

    /// Notes that a copy is wanted still; `false` when it was removed meanwhile.
    private func use(_ copy: Copy, now: Tick) -> Bool {
        lock.with {
            guard copies.contains(where: { $0 === copy }) else { return false }
            copy.lastUsed = max(copy.lastUsed, now)
            return true
        }
    }

    /// Makes a copy: of what has changed since a place, if there is one and that can be.
    private func make(
        _ number: UInt64,
        of engine: Engine,
        since tail: Tail?,
        id: () -> UInt64,
        now: () -> Tick
    ) throws(EngineError) -> Copy {
        let name = MemberDirectory.copy(number)
        let path = "\(directory.path)/\(name)"
        // First of all: what is written while the copy is made must be there for who takes it.
        try engine.createSlot(Self.slot(number))
        var made: (epochs: [EpochEntry], end: Position)?
        if let tail, tail.sequence > 0 {
            made = try copyChanges(of: engine, after: tail.sequence, to: path)
        }
        let start = made == nil ? nil : tail
        let (epochs, end) = if let made { made } else { try engine.copy(to: path) }
        try engine.acknowledge(end, slot: Self.slot(number))
        let place = try directory.subdirectory(name)
        var entries: [CopyFormat.Entry] = []
        for name in try place.list().known where name != .lock {
            guard isOpen() else { throw .closed }
            let file = try place.open(name, for: .read)
            let size = try file.size()
            entries.append(
                CopyFormat.Entry(name: name, size: size, checksum: try file.digest(size))
            )
        }
        return Copy(
            (id(), LogOutline(epochs, end), start),
            number: number,
            in: place,
            of: engine,
            entries,
            // It is idle from now on: making it may have taken long.
            now: now()
        )
    }

    private static func slot(_ number: UInt64) -> String { "\(slotPrefix)\(number)" }

    /// What has changed since a sequence; `nil` when deletions may be forgotten since, or there is
    /// too little room.
    private func copyChanges(
        of engine: Engine,
        after sequence: UInt64,
        to path: String
    ) throws(EngineError) -> (epochs: [EpochEntry], end: Position)? {
        do throws(EngineError) {
            return try engine.copyChanges(after: sequence, to: path)
        } catch {
            switch error.code {
            case .trimmed: return nil
            case .noSpace:
                tell(error)
                return nil
            default: throw error
            }
        }
    }

    /// Whether whoever takes the copy can go on behind it.
    private func isUsable(_ copy: Copy) -> Bool {
        copy.engine.slots.contains { $0.name == Self.slot(copy.number) && !$0.isLost }
    }

    /// A part of a copy; `nil` when there is no such copy any more.
    ///
    /// - Throws: ``EngineError`` with code `io`.
    func part(_ index: UInt64, of id: UInt64, now: Tick) throws(EngineError) -> [UInt8]? {
        let found = lock.with { copies.first { $0.offer.id == id } }
        guard let copy = found, index < copy.offer.partCount, use(copy, now: now) else {
            return nil
        }
        var offset = index * CopyFormat.partSize
        let end = min(offset + CopyFormat.partSize, copy.size)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(end - offset))
        if offset < UInt64(copy.contents.count) {
            bytes += copy.contents[Int(offset)..<min(Int(end), copy.contents.count)]
            offset += UInt64(bytes.count)
        }
        // The last file that begins at or before the place.
        var file = max(0, (copy.starts.firstIndex { $0 > offset } ?? copy.starts.count) - 1)
        while offset < end {
            let (entry, start) = (copy.entries[file], copy.starts[file])
            let count = Int(min(end, start + entry.size) - offset)
            let opened = try copy.directory.open(entry.name, for: .read)
            let read = try opened.read(count: count, at: offset - start)
            guard read.count == count else {
                throw .corruption("handing out a copy", file: entry.name.description, offset: 0)
            }
            bytes += read
            offset += UInt64(count)
            file += 1
        }
        return bytes
    }

    /// Removes what nobody has asked for for long.
    func removeIdle(now: Tick) {
        let idle = lock.with {
            let idle = copies.filter { now > $0.lastUsed + Self.idleMax }
            copies.removeAll { now > $0.lastUsed + Self.idleMax }
            return idle
        }
        for copy in idle { remove(copy.number, of: copy.engine) }
    }

    func removeAll() {
        let all = lock.with {
            removals += 1
            defer { copies = [] }
            return copies
        }
        for copy in all { remove(copy.number, of: copy.engine) }
    }

    /// What is left goes with the next opening.
    private func remove(_ number: UInt64, of engine: Engine) {
        do throws(EngineError) {
            try directory.removeTree(MemberDirectory.copy(number))
        } catch {}
        do throws(EngineError) { try engine.dropSlot(Self.slot(number)) } catch {}
    }

    /// Drops the slots that an earlier opening left.
    static func dropSlots(of engine: Engine) {
        for slot in engine.slots where slot.name.hasPrefix(slotPrefix) {
            do throws(EngineError) { try engine.dropSlot(slot.name) } catch {}
        }
    }
}
