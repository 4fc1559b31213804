internal import StorageEngine
internal import Synchronization

/// Gathers writes of tasks, to be committed together: group commit, as in DeWitt et al.,
/// Implementation Techniques for Main Memory Database Systems, 1984.
///
/// Thread safety: every method may be called from any thread.
final class Gathering<Element: Sendable>: @unchecked Sendable {
    /// Where no more writes than this are under way, each is done sooner by itself.
    let fewMax: Int
    /// The most that are taken together: while the leader commits some, its followers take in those
    /// before, and with all of them in one group each would wait for the other.
    let countMax: Int

    private let underWay = Atomic(0)
    private let lock = Lock()
    // The lock.
    private var elements: [Element] = []
    /// Whether somebody commits what there is, and comes for more.
    private var isCommitting = false

    init(fewMax: Int, countMax: Int) {
        self.fewMax = fewMax
        self.countMax = countMax
    }

    /// Notes that a write begins; returns whether many are under way.
    func enter() -> Bool { underWay.add(1, ordering: .relaxed).newValue > fewMax }

    /// Notes that a write has ended.
    func leave() { underWay.subtract(1, ordering: .relaxed) }

    /// Adds a write; returns whether the caller has to see to it that it is committed.
    func add(_ element: Element) -> Bool {
        lock.with {
            elements.append(element)
            defer { isCommitting = true }
            return !isCommitting
        }
    }

    /// How many wait to be taken.
    var count: Int { lock.with { elements.count } }

    /// Takes what is committed next, the first ones first; `nil` when there is nothing, and whoever
    /// adds something has to see to it again.
    func next() -> [Element]? {
        lock.with {
            isCommitting = !elements.isEmpty
            guard isCommitting else { return nil }
            let taken = Array(elements.prefix(countMax))
            elements.removeFirst(taken.count)
            return taken
        }
    }
}
