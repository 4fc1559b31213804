import StorageEngine

/// A consumer of a run's store: a program of its own, which keeps what it has taken in whatever
/// becomes of the store.
///
/// Thread safety: none; it belongs to its run.
final class SimulatedConsumer {
    let horizon: AckPoint
    let filter: KeyRange
    /// `nil` when it keeps its place itself.
    let slot: SimulatedSlot?

    /// Up to where it has seen everything.
    var position = Position.start
    /// What it has made of that.
    var view: [[UInt8]: [UInt8]] = [:]
    /// `nil` until it reads (again).
    var reader: FeedCursorBox?
    /// What it waits for.
    var wait: EngineStepper.Wait?
    /// How many of its turns it lets pass.
    var pauseCount = 0

    init(_ horizon: AckPoint, filter: KeyRange = .all, slot: SimulatedSlot? = nil) {
        self.horizon = horizon
        self.filter = filter
        self.slot = slot
    }

    /// What it is, for messages.
    var name: String {
        "consumer \(slot?.name ?? "without slot") at .\(horizon)"
            + (filter == .all ? "" : " with a filter")
    }

    /// Takes in what a record does.
    func apply(_ record: ChangeRecord) {
        var changes: [ModelStore.Change] = []
        record.forEachOperation { kind, key, value in
            changes.append(ModelStore.Change(kind, key, value))
        }
        // A range delete removes only what is older than the record.
        for case .deleteRange(let range) in changes {
            view = view.filter { !range.contains($0.key) || !filter.contains($0.key) }
        }
        for change in changes {
            switch change {
            case .put(let key, let value): view[key] = value
            case .delete(let key): view[key] = nil
            case .deleteRange: break
            }
        }
    }

    /// Lets go of the store.
    func leave() {
        reader = nil
        wait = nil
    }

    /// Goes to another place, with what the store holds there.
    func move(to place: Position, in model: ModelStore) {
        leave()
        position = place
        view = [:]
        for (key, value) in model.state(at: place.sequence) where filter.contains(key) {
            view[key] = value
        }
    }

    /// What is wrong with what it has made of the changes; `nil` for nothing.
    func complaint(in model: ModelStore) -> String? {
        var count = 0
        for (key, value) in model.state(at: position.sequence) where filter.contains(key) {
            count += 1
            guard view[key] == value else { return "key \(key) is wrong at \(position.sequence)" }
        }
        return count == view.count
            ? nil : "\(view.count) keys at \(position.sequence), the store had \(count)"
    }
}

/// A cursor that can be kept.
///
/// Thread safety: none; one owner.
final class FeedCursorBox {
    var cursor: ChangeCursor
    /// The last sequence that was read, or that it starts behind.
    var last: UInt64

    init(_ cursor: consuming ChangeCursor) {
        last = cursor.position.sequence
        self.cursor = cursor
    }
}

extension ModelStore.Change {
    /// Whether it changes a key of a range.
    func touches(_ range: KeyRange) -> Bool {
        switch self {
        case .put(let key, _), .delete(let key): range.contains(key)
        case .deleteRange(let deleted): !deleted.intersection(range).isEmpty
        }
    }
}
