import StorageEngine

/// A slot of a run's store, and what the file SLOTS may say of it at each position of a trace.
///
/// Thread safety: none; it belongs to its run.
final class SimulatedSlot {
    let name: String
    let limits: SlotLimits
    /// Whether it may keep as much as it wants: then it is never lost.
    let isUnlimited: Bool

    /// What was asked for, from a position of the trace on; `place` is `nil` for no slot.
    private struct State {
        let place: Position?
        let begin: Int
        /// When, in nanoseconds.
        let time: UInt64
        /// From where on it is on disk for certain.
        var durable: Int?
    }

    private var states = [State(place: nil, begin: 0, time: 0, durable: 0)]

    init(_ name: String, limit: UInt64?) {
        self.name = name
        isUnlimited = limit == nil
        limits = limit.map { SlotLimits(size: $0) } ?? SlotLimits()
    }

    /// Where it is; `nil` while there is none.
    var place: Position? { states.last?.place }

    /// How many states there were: a mark for ``noteDurable(before:at:)``.
    var mark: Int { states.count }

    /// Takes in that a state was asked for at a position of the trace, and when.
    func note(_ place: Position?, at position: Int, time: UInt64) {
        states.append(State(place: place, begin: position, time: time))
    }

    /// Whether it must be on disk, or be written now.
    func isDue(at time: UInt64) -> Bool {
        states.last.map { $0.durable == nil && time >= $0.time + 1_000_000_000 } ?? false
    }

    /// Takes in that everything before a mark is on disk from a position on.
    func noteDurable(before mark: Int, at position: Int) {
        states[mark - 1].durable = states[mark - 1].durable ?? position
    }

    /// What SLOTS may say after a crash at a position.
    func possible(at position: Int) -> [Position?] {
        let certain = states.lastIndex { $0.durable.map { $0 <= position } ?? false } ?? 0
        return states[certain...].filter { $0.begin <= position }.map(\.place)
    }

    /// Begins anew with what was found in an image that holds nothing else.
    func restart(with place: Position?, at position: Int) {
        states = [State(place: place, begin: position, time: 0, durable: position)]
    }
}
