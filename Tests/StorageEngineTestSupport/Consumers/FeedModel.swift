import StorageEngine

/// What consumers of a store must get: every write, in order.
struct FeedModel {
    struct Entry {
        let sequence: UInt64
        /// The hash of its operations, in their order.
        let digest: UInt64
        let changes: [ModelStore.Change]
        /// `nil` for a write that failed and was found after a restart, until somebody has read it.
        var position: Position?
    }

    /// By sequence.
    private(set) var entries: [Entry] = []
    /// Where those begin that failed, and may be there after a crash all the same.
    private var withdrawnStart: Int?
    /// Those that failed and are followed by others since: at the end of what a crash left they may
    /// be found where nothing from `end` on is.
    private var ended: [(entry: Entry, end: UInt64)] = []

    /// Takes in writes in the order of their sequences; what failed before can be there no more.
    mutating func add(_ new: [Entry]) {
        guard let first = new.first else { return }
        if let start = withdrawnStart {
            ended += entries[start...].map { ($0, first.sequence) }
            entries.removeSubrange(start...)
        }
        withdrawnStart = nil
        entries += new
    }

    /// Takes in writes that failed together.
    mutating func addWithdrawn(_ new: [Entry]) {
        guard !new.isEmpty else { return }
        add(new)
        withdrawnStart = entries.count - new.count
    }

    /// Makes what was found up to a sequence the whole history.
    mutating func cut(to sequence: UInt64) {
        entries.removeAll { $0.sequence > sequence }
        let found = ended.filter { $0.entry.sequence <= sequence && sequence < $0.end }
        entries += found.map(\.entry)
        ended = []
        withdrawnStart = nil
    }

    /// The place of the first write behind a sequence.
    func index(after sequence: UInt64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence <= sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// The write of a sequence.
    func entry(at sequence: UInt64) -> Entry? {
        let index = index(after: sequence)
        guard index > 0, entries[index - 1].sequence == sequence else { return nil }
        return entries[index - 1]
    }

    /// Whether a place is one of this history, as far as it is known.
    func contains(_ position: Position) -> Bool {
        guard position.sequence > 0 else { return true }
        guard let entry = entry(at: position.sequence) else { return false }
        return entry.position.map { $0 == position } ?? true
    }

    /// Compares a record with what must come behind a sequence, and learns its place.
    ///
    /// - Returns: What is wrong with it; `nil` for nothing.
    mutating func check(_ record: ChangeRecord, behind last: UInt64) -> String? {
        let index = index(after: last)
        let position = record.position
        guard record.previousSequence == last, index < entries.count,
            entries[index].sequence == position.sequence
        else {
            let expected = index < entries.count ? "\(entries[index].sequence)" : "nothing"
            return "record \(position.sequence) behind \(record.previousSequence), where behind "
                + "\(last) comes \(expected)"
        }
        if let known = entries[index].position, known != position {
            return "the record's place is \(position), it was written at \(known)"
        }
        entries[index].position = position
        guard digest(of: record) == entries[index].digest else {
            return "record \(position.sequence) has other operations than were written"
        }
        return nil
    }

    private func digest(of record: ChangeRecord) -> UInt64? {
        var batch = WriteBatch()
        var isValid = true
        record.forEachOperation { kind, key, value in
            do throws(EngineError) {
                switch kind {
                case .put: try batch.put(value, for: key)
                case .delete: try batch.delete(key)
                case .deleteRange: try batch.deleteRange(KeyRange(key, value))
                }
            } catch {
                isValid = false
            }
        }
        return isValid ? batch.withOperations { LogHash.digest($0) } : nil
    }
}

extension KeyRange {
    /// The range of a range delete in a feed.
    init(_ lower: Span<UInt8>, _ upper: Span<UInt8>) {
        let upper = upper.withUnsafeBufferPointer(Array.init)
        self.init(
            from: lower.withUnsafeBufferPointer(Array.init),
            to: upper.isEmpty ? nil : upper
        )
    }
}

extension ModelStore.Change {
    /// Takes an operation of a feed.
    init(_ kind: ChangeRecord.Kind, _ key: Span<UInt8>, _ value: Span<UInt8>) {
        let bytes = key.withUnsafeBufferPointer(Array.init)
        switch kind {
        case .put: self = .put(key: bytes, value: value.withUnsafeBufferPointer(Array.init))
        case .delete: self = .delete(key: bytes)
        case .deleteRange: self = .deleteRange(KeyRange(key, value))
        }
    }
}
