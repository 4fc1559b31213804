// Range tombstones: what range deletes leave behind, as readers ask for it.
//
// A tombstone of sequence s hides the versions below s of every key in its range, from readers at s
// or above. So a reader at sequence r wants the greatest sequence at or below r of the tombstones
// that cover a key: what is older is hidden, and no other tombstone matters to him.
//
// The tombstones are cut at each other's bounds into fragments, which do not overlap: a lookup is a
// binary search. A set is a short list of such step functions (`RangeSteps`), the largest first.
//
// (1) Each takes at least twice the memory of the next, so there are O(log n).
// (2) `adding` puts a new one behind, and merges from the end until (1) holds again. It shares the
//     others with the set it was called on. A boundary is copied only when what holds it is merged
//     with something at least half as large: O(log n) times in all. So a row of n sets, each made
//     from the one before, takes O(n log n) memory when all of them are kept.
// (3) The sequences of a fragment can be as many as the tombstones that cover it: n tombstones one
//     within the other take O(n²). `retained` and `adding(_:visible:registered:)` leave one for
//     each registered sequence, one more, and what is not published.

/// A range delete: it hides what is older in its range.
package struct RangeTombstone: Sendable, Hashable {
    package let range: KeyRange
    /// The sequence of the record with the range delete; not 0.
    package let sequence: UInt64

    package init(_ range: KeyRange, sequence: UInt64) {
        precondition(sequence > 0)
        self.range = range
        self.sequence = sequence
    }
}

/// A piece of one or more tombstones that no other piece overlaps.
package struct RangeFragment: Sendable, Hashable {
    package let lower: [UInt8]
    /// `nil` for no bound.
    package let upper: [UInt8]?
    /// The sequences of the tombstones that cover it, distinct, descending, not empty.
    package let sequences: [UInt64]

    package init(lower: [UInt8], upper: [UInt8]?, sequences: [UInt64]) {
        self.lower = lower
        self.upper = upper
        self.sequences = sequences
    }
}

/// Where a run of covered keys ends.
package enum RangeEnd: Sendable, Hashable {
    /// At a key, which does not belong to it.
    case key([UInt8])
    /// Behind all keys.
    case unbounded
}

/// Which tombstones count: those newer than ``oldest``, at or below ``sequence``.
package struct RangeWindow: Sendable {
    package let oldest: UInt64
    package let sequence: UInt64

    package init(newerThan oldest: UInt64, at sequence: UInt64) {
        self.oldest = oldest
        self.sequence = sequence
    }

    fileprivate var isEmpty: Bool { oldest >= sequence }
}

/// A set of range tombstones that never changes.
///
/// Thread safety: a value; it may be used from any thread.
package struct RangeTombstones: Sendable {
    /// None of them is empty.
    private var parts: [RangeSteps] = []

    /// No tombstones.
    package static let none = RangeTombstones()

    private init() {}

    private init(_ steps: RangeSteps) { if !steps.isEmpty { parts = [steps] } }

    /// A set of some tombstones; empty ranges count for nothing.
    ///
    /// Complexity: O(n log n), and see (3).
    package init(_ tombstones: [RangeTombstone]) {
        self.init(Self.merge(tombstones.filter { !$0.range.isEmpty }.map { RangeSteps($0) }))
    }

    /// What several sets say together.
    package init(merging sets: [RangeTombstones]) {
        self.init(Self.merge(sets.flatMap(\.parts)))
    }

    /// A set of fragments as ``fragments`` gave them. They may be hostile.
    ///
    /// Complexity: O(their bytes).
    package init(fragments: [RangeFragment]) throws(DecodingFailure) {
        var builder = RangeSteps.Builder()
        var least: [UInt8]? = []
        for (index, fragment) in fragments.enumerated() {
            guard let end = least, !fragment.lower.lexicographicallyPrecedes(end),
                !KeyRange(from: fragment.lower, to: fragment.upper).isEmpty
            else { throw .malformed("range tombstones are not in order") }
            guard Self.descend(fragment.sequences) else {
                throw .malformed("the sequences of a range tombstone are not in order")
            }
            if index > 0, end != fragment.lower { end.withUnsafeBytes { builder.append($0, []) } }
            fragment.lower.withUnsafeBytes { builder.append($0, fragment.sequences[...]) }
            least = fragment.upper
        }
        if let end = least { end.withUnsafeBytes { builder.append($0, []) } }
        self.init(builder.finish())
    }

    private static func descend(_ sequences: [UInt64]) -> Bool {
        guard let last = sequences.last, last > 0 else { return false }
        return zip(sequences, sequences.dropFirst()).allSatisfy { $0 > $1 }
    }

    private static func merge(_ parts: [RangeSteps]) -> RangeSteps {
        var parts = parts
        while parts.count > 1 {
            parts = stride(from: 0, to: parts.count, by: 2).map { index in
                index + 1 < parts.count ? parts[index].merged(parts[index + 1]) : parts[index]
            }
        }
        return parts.first ?? RangeSteps.Builder().finish()
    }

    /// The tombstones in one piece.
    private var whole: RangeSteps { Self.merge(parts) }

    package var isEmpty: Bool { parts.isEmpty }

    /// How many fragments there are.
    ///
    /// Complexity: O(n).
    package var count: Int { fragments.count }

    /// The memory that the set takes, about; sets that came from one another share much of it.
    package var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount + 8 } }

    /// The memory that the set does not share with the one whose `adding` made it, about.
    package var addedByteCount: Int { (parts.last?.byteCount ?? 0) + 8 * parts.count }

    /// The fragments, in order; fragments that touch differ in their sequences.
    ///
    /// Complexity: O(n).
    package var fragments: [RangeFragment] {
        let whole = whole
        return (0..<whole.count).compactMap { step in
            let sequences = Array(whole.sequences(step))
            guard !sequences.isEmpty else { return nil }
            return RangeFragment(
                lower: whole.boundary(step),
                upper: step + 1 < whole.count ? whole.boundary(step + 1) : nil,
                sequences: sequences
            )
        }
    }

    // MARK: - Lookup

    /// What a lookup found.
    package struct Cover {
        /// The greatest sequence at or below the one asked for, of the tombstones that cover the
        /// key; 0 for none.
        package var sequence: UInt64 = 0
        /// Whether newer tombstones cover the key.
        package var sawNewer = false
    }

    /// Finds the newest tombstone that covers a key, as of a sequence.
    ///
    /// Complexity: O(log² n); allocates nothing.
    package func cover(of key: UnsafeRawBufferPointer, at sequence: UInt64) -> Cover {
        var cover = Cover()
        for part in parts {
            let step = part.step(of: key)
            guard step >= 0 else { continue }
            let found = part.newest(step, at: sequence)
            cover.sequence = max(cover.sequence, found.sequence)
            cover.sawNewer = cover.sawNewer || found.sawNewer
        }
        return cover
    }

    /// The greatest sequence at or below one, of the tombstones that cover a key; 0 for none.
    package func newest(
        covering key: UnsafeRawBufferPointer,
        at sequence: UInt64
    ) -> UInt64 {
        cover(of: key, at: sequence).sequence
    }

    /// Where the run of covered keys ends that a key is in; `nil` when the key is not covered.
    ///
    /// A source whose versions are none above the window's oldest has nothing to show before there.
    package func coverageEnd(
        from key: UnsafeRawBufferPointer,
        _ window: RangeWindow
    ) -> RangeEnd? {
        var reached: [UInt8]?
        var isExtended = !window.isEmpty
        while isExtended {
            isExtended = false
            for part in parts {
                let end =
                    reached?.withUnsafeBytes { part.end(from: $0, window) }
                    ?? (reached == nil ? part.end(from: key, window) : nil)
                guard let end else { continue }
                guard case .key(let next) = end else { return .unbounded }
                reached = next
                isExtended = true
            }
        }
        return reached.map(RangeEnd.key)
    }

    /// Where the run of covered keys begins that a key is in; `nil` when the key is not covered.
    package func coverageStart(
        of key: UnsafeRawBufferPointer,
        _ window: RangeWindow
    ) -> [UInt8]? {
        guard !window.isEmpty else { return nil }
        var reached: [UInt8]?
        for part in parts where reached == nil { reached = part.start(of: key, window) }
        guard var start = reached else { return nil }
        var isExtended = true
        while isExtended {
            isExtended = false
            for part in parts {
                let earlier = start.withUnsafeBytes { part.start(before: $0, window) }
                guard let earlier else { continue }
                start = earlier
                isExtended = true
            }
        }
        return start
    }

    // MARK: - Making others

    /// The set with a tombstone more.
    ///
    /// Complexity: O(log n) on average, O(n) at worst; see (3).
    package func adding(_ tombstone: RangeTombstone) -> RangeTombstones {
        adding(tombstone) { $0 }
    }

    /// The set with a tombstone more, and with fewer of those that no reader needs: as
    /// ``retained(visible:registered:)``, as far as parts are merged.
    package func adding(
        _ tombstone: RangeTombstone,
        visible: UInt64,
        registered: [UInt64]
    ) -> RangeTombstones {
        adding(tombstone) { Self.retained($0, visible, registered) }
    }

    private func adding(
        _ tombstone: RangeTombstone,
        _ thin: (RangeSteps) -> RangeSteps
    ) -> RangeTombstones {
        guard !tombstone.range.isEmpty else { return self }
        var all = self
        var last = RangeSteps(tombstone)
        while let before = all.parts.last, before.byteCount < 2 * last.byteCount {
            last = thin(before.merged(last))
            all.parts.removeLast()
        }
        all.parts.append(last)
        return all
    }

    /// The part of the tombstones that lies within a range.
    package func clipped(to range: KeyRange) -> RangeTombstones {
        range.isEmpty ? .none : RangeTombstones(whole.clipped(to: range))
    }

    /// Leaves out, of each fragment, the sequences that no reader needs.
    ///
    /// - Parameters:
    ///   - visible: Every sequence at or below it is published: of those, the newest is kept, and
    ///     those above all are.
    ///   - registered: The sequences of snapshots, ascending; the newest at or below each is kept.
    /// - Returns: A set that answers every reader at those sequences, or later, as this one.
    package func retained(visible: UInt64, registered: [UInt64]) -> RangeTombstones {
        RangeTombstones(Self.retained(whole, visible, registered))
    }

    private static func retained(
        _ steps: RangeSteps,
        _ visible: UInt64,
        _ registered: [UInt64]
    ) -> RangeSteps {
        steps.filtered { sequences, kept in
            var left = registered.count
            /// The greatest sequence that is read below all those kept so far; `nil` for none.
            var read: UInt64? = visible
            for sequence in sequences {
                if sequence > visible {
                    kept.append(sequence)
                } else if let reader = read, sequence <= reader {
                    kept.append(sequence)
                    while left > 0, registered[left - 1] >= sequence { left -= 1 }
                    read = left > 0 ? registered[left - 1] : nil
                }
            }
        }
    }
}

extension RangeTombstones: Equatable {
    package static func == (left: RangeTombstones, right: RangeTombstones) -> Bool {
        left.fragments == right.fragments
    }
}
