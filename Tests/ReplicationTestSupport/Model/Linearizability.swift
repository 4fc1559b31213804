/// Whether what clients saw of a register could have happened one after the other.
///
/// Just-in-time linearization (Lowe 2017), a form of Wing and Gong's search: the calls are read in
/// order of time, and every value that the register may have is kept, together with which of the
/// open calls have taken effect. A call takes effect only when one that ends needs it.
package enum Linearizability {
    package struct Call: Hashable, Sendable {
        /// `nil` for a read.
        package var written: Int?
        /// What a read returned; -1 for nothing.
        package var read: Int
        package var start: UInt64
        /// `nil`: nobody knows whether it took effect.
        package var end: UInt64?

        package init(written: Int?, read: Int, start: UInt64, end: UInt64?) {
            self.written = written
            self.read = read
            self.start = start
            self.end = end
        }
    }

    private struct State: Hashable {
        var value: Int
        /// The open calls that have taken effect.
        var done: Set<Int>
    }

    package static func holds(_ history: [Call]) -> Bool {
        let seen = Set(history.filter { $0.written == nil && $0.end != nil }.map(\.read))
        // Reads without an answer say nothing, and neither do writes that may not have happened and
        // that nobody saw.
        let calls = history.filter { call in
            call.end != nil || call.written.map { seen.contains($0) } ?? false
        }
        var moments: [(time: UInt64, isEnd: Bool, call: Int)] = []
        for (index, call) in calls.enumerated() {
            moments.append((call.start, false, index))
            if let end = call.end { moments.append((end, true, index)) }
        }
        // Calls that touch overlap: a start comes before an end of the same time.
        moments.sort { ($0.time, $0.isEnd ? 1 : 0, $0.call) < ($1.time, $1.isEnd ? 1 : 0, $1.call) }
        var states: Set<State> = [State(value: -1, done: [])]
        var open: Set<Int> = []
        for moment in moments {
            guard moment.isEnd else {
                open.insert(moment.call)
                continue
            }
            states = reach(moment.call, states, open, calls)
            guard !states.isEmpty else { return false }
            open.remove(moment.call)
        }
        return true
    }

    /// The states in which a call that ends has taken effect.
    private static func reach(
        _ call: Int,
        _ states: Set<State>,
        _ open: Set<Int>,
        _ calls: [Call]
    ) -> Set<State> {
        var visited = states
        var next = Array(states)
        var reached: Set<State> = []
        while let state = next.popLast() {
            if state.done.contains(call) {
                var ended = state
                ended.done.remove(call)
                reached.insert(ended)
                continue
            }
            for other in open where !state.done.contains(other) {
                var after = state
                after.done.insert(other)
                if let written = calls[other].written {
                    after.value = written
                } else if calls[other].read != state.value {
                    continue
                }
                if visited.insert(after).inserted { next.append(after) }
            }
        }
        return reached
    }
}
