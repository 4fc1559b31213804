package import StorageEngine

/// The end of a log.
package struct Tail: Hashable, Sendable {
    /// The last epoch that began.
    package let epoch: Epoch
    /// The last record's sequence, 0 when there is none.
    package let sequence: UInt64
    /// The log hash with that record, or with the epoch's beginning behind it.
    package let logHash: UInt64

    package init(epoch: Epoch, sequence: UInt64, logHash: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
        self.logHash = logHash
    }

    package static let zero = Tail(epoch: .none, sequence: 0, logHash: 0)

    /// Whether a log that ends here has more than one that ends there: by epoch number, then by
    /// sequence. Never by sequence alone.
    package func ranksAbove(_ other: Tail) -> Bool {
        (epoch.number, sequence) > (other.epoch.number, other.sequence)
    }

    /// The end of the log after an epoch began.
    package func beginning(_ next: Epoch) -> Tail {
        Tail(epoch: next, sequence: sequence, logHash: LogHash.begin(next, after: logHash))
    }
}

/// Records on their way: as many whole ones as fit, all of one epoch.
package struct Pack: Hashable, Sendable {
    /// The epochs that begin at its head; the last one is the records' epoch.
    package var beginning: [Epoch]
    /// The records' epoch.
    package var epoch: Epoch
    /// The record before the first, and the log hash there, with the epochs that begin.
    package var previousSequence: UInt64
    package var hashBefore: UInt64
    /// The first and the last record; both are ``previousSequence`` when there are only epochs.
    package var first: UInt64
    package var last: UInt64
    package var hashAfter: UInt64
    package var size: UInt64
    /// Whether somebody may wait for the followers' disks: they sync it at once then.
    package var isAwaitedOnDisk = false
    /// Names the bytes; only the host knows what they are.
    package var payload: UInt64

    package init(
        from before: Tail,
        to after: Tail,
        beginning: [Epoch],
        first: UInt64,
        size: UInt64,
        payload: UInt64
    ) {
        self.beginning = beginning
        epoch = after.epoch
        previousSequence = before.sequence
        hashBefore = beginning.reduce(before.logHash) { LogHash.begin($1, after: $0) }
        self.first = first
        last = after.sequence
        hashAfter = after.logHash
        self.size = size
        self.payload = payload
    }

    /// The end of a log that ends with this pack.
    package var tail: Tail { Tail(epoch: epoch, sequence: last, logHash: hashAfter) }
}

/// What a member says of its log: the epochs, and where it ends.
package struct LogOutline: Hashable, Sendable {
    package private(set) var table: [EpochEntry]
    package private(set) var tail: Tail

    package static let empty = LogOutline(table: [], tail: .zero)

    package init(table: [EpochEntry], tail: Tail) {
        self.table = table
        self.tail = tail
    }

    package var isEmpty: Bool { table.isEmpty && tail.sequence == 0 }

    /// Whether it can be an outline of a log at all; what comes from others may not be.
    package var isWellFormed: Bool {
        guard table.count <= LogOutline.entriesMax, tail.epoch == table.last?.epoch ?? .none,
            table.last?.epoch.number ?? 0 < Epoch.numberMax,
            table.first.map({ $0.epoch.number > 0 }) ?? (tail == .zero)
        else { return false }
        return zip(table, table.dropFirst()).allSatisfy { before, after in
            before.epoch.number < after.epoch.number
                && before.lastSequenceBefore <= after.lastSequenceBefore
        } && table.last?.lastSequenceBefore ?? 0 <= tail.sequence
    }

    /// An epoch table is bounded by how often a store is opened for writing and promoted.
    package static let entriesMax = 1 << 20

    /// Where an epoch of the table ends.
    package func end(ofEntry index: Int) -> Tail {
        guard index + 1 < table.count else { return tail }
        return Tail(
            epoch: table[index].epoch,
            sequence: table[index + 1].lastSequenceBefore,
            logHash: table[index + 1].logHashBefore
        )
    }

    /// How a pack fits to the end of the log.
    package enum Fit: Hashable, Sendable {
        /// Its predecessor is exactly the end of the log.
        case next
        /// All of it is there.
        case duplicate
        /// Something is missing between.
        case gap
        /// It belongs to another history of records.
        case foreign
    }

    /// Compares a pack with the end of the log; nothing but an exact predecessor fits.
    package func fit(_ pack: Pack) -> Fit {
        let known = table.lastIndex { $0.epoch.number <= pack.epoch.number }
        if let known, table[known].epoch == pack.epoch, pack.last <= end(ofEntry: known).sequence {
            let end = end(ofEntry: known)
            return pack.last == end.sequence && pack.tail != end ? .foreign : .duplicate
        }
        guard pack.previousSequence == tail.sequence else {
            return pack.previousSequence > tail.sequence ? .gap : .foreign
        }
        guard pack.last >= pack.first, pack.first >= pack.previousSequence,
            pack.first > pack.previousSequence || pack.first == pack.last
        else { return .foreign }
        var end = tail
        for epoch in pack.beginning {
            guard epoch.number > end.epoch.number else { return .foreign }
            end = end.beginning(epoch)
        }
        let fits = end.epoch == pack.epoch && end.logHash == pack.hashBefore
        // An epoch without a record may be missing between, with the pack that began it.
        if !fits, pack.epoch.number > tail.epoch.number { return .gap }
        let isWhole = pack.last > pack.previousSequence || pack.hashAfter == pack.hashBefore
        return fits && isWhole ? .next : .foreign
    }

    /// Appends a pack that fits.
    package mutating func append(_ pack: Pack) {
        for epoch in pack.beginning { begin(epoch) }
        tail = pack.tail
    }

    /// Begins an epoch at the end of the log.
    package mutating func begin(_ epoch: Epoch) {
        table.append(
            EpochEntry(
                epoch: epoch,
                lastSequenceBefore: tail.sequence,
                logHashBefore: tail.logHash
            )
        )
        tail = tail.beginning(epoch)
    }

    /// The end of the log moves within its last epoch.
    package mutating func extend(to sequence: UInt64, logHash: UInt64) {
        tail = Tail(epoch: tail.epoch, sequence: sequence, logHash: logHash)
    }

    /// Cuts the log back to an end that its table allows.
    package mutating func cut(to end: Tail) {
        table.removeAll { $0.epoch.number > end.epoch.number }
        tail = end
    }
}
