/// A function from keys to sequences that changes at boundaries only: what range tombstones say.
///
///   boundaries  b0 < b1 < … < bk
///   step i      the keys from bi on, before the next boundary; the last step has no end
///   sequences   those of the tombstones that cover the step, descending; none between tombstones
///
/// (1) Keys before the first boundary are not covered. The first step has a sequence.
/// (2) Steps beside each other differ in their sequences.
///
/// Thread safety: never changes.
final class RangeSteps: Sendable {
    /// The boundaries, one behind the other, and where each ends.
    private let keys: [UInt8]
    private let keyEnds: [Int]
    /// The sequences of all steps, one behind the other, and where those of each step end.
    private let sequences: [UInt64]
    private let sequenceEnds: [Int]

    fileprivate init(_ builder: borrowing Builder) {
        keys = builder.keys
        keyEnds = builder.keyEnds
        sequences = builder.sequences
        sequenceEnds = builder.sequenceEnds
    }

    var count: Int { keyEnds.count }
    var isEmpty: Bool { keyEnds.isEmpty }

    /// The memory that the steps take, about.
    var byteCount: Int { 160 + keys.count + 8 * sequences.count + 16 * count }

    // MARK: - Steps

    /// Calls a closure with the boundary where a step begins.
    @inline(__always)
    private func withBoundary<R>(_ step: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        keys.withUnsafeBytes { keys in
            let start = step == 0 ? 0 : keyEnds[step - 1]
            return body(UnsafeRawBufferPointer(rebasing: keys[start..<keyEnds[step]]))
        }
    }

    func boundary(_ step: Int) -> [UInt8] {
        Array(keys[(step == 0 ? 0 : keyEnds[step - 1])..<keyEnds[step]])
    }

    func sequences(_ step: Int) -> ArraySlice<UInt64> {
        sequences[(step == 0 ? 0 : sequenceEnds[step - 1])..<sequenceEnds[step]]
    }

    /// The step that holds a key, -1 before the first.
    @inline(__always)
    func step(of key: UnsafeRawBufferPointer) -> Int {
        last { !key.precedes($0) }
    }

    /// The step that holds what comes right before a key, -1 before the first.
    private func step(before key: UnsafeRawBufferPointer) -> Int {
        last { $0.precedes(key) }
    }

    /// The last step whose boundary is as asked for; those that are come first.
    @inline(__always)
    private func last(where isBefore: (UnsafeRawBufferPointer) -> Bool) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if withBoundary(middle, isBefore) {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low - 1
    }

    /// The newest sequence of a step at or below one, 0 for none, and whether it has newer ones.
    @inline(__always)
    func newest(_ step: Int, at sequence: UInt64) -> (sequence: UInt64, sawNewer: Bool) {
        let start = step == 0 ? 0 : sequenceEnds[step - 1]
        let end = sequenceEnds[step]
        var (low, high) = (start, end)
        while low < high {
            let middle = (low + high) / 2
            if sequences[middle] > sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return (low < end ? sequences[low] : 0, low > start)
    }

    // MARK: - Runs

    /// Where the covered run of a key ends; `nil` when the key is not covered.
    func end(from key: UnsafeRawBufferPointer, _ window: RangeWindow) -> RangeEnd? {
        var step = step(of: key)
        guard step >= 0, isCovered(step, window) else { return nil }
        repeat { step += 1 } while step < count && isCovered(step, window)
        return step == count ? .unbounded : .key(boundary(step))
    }

    /// Where the covered run of a key begins; `nil` when the key is not covered.
    func start(of key: UnsafeRawBufferPointer, _ window: RangeWindow) -> [UInt8]? {
        start(from: step(of: key), window)
    }

    /// Where the covered run that reaches up to a key begins; `nil` when there is none.
    func start(before key: UnsafeRawBufferPointer, _ window: RangeWindow) -> [UInt8]? {
        start(from: step(before: key), window)
    }

    private func start(from step: Int, _ window: RangeWindow) -> [UInt8]? {
        guard step >= 0, isCovered(step, window) else { return nil }
        var step = step
        while step > 0, isCovered(step - 1, window) { step -= 1 }
        return boundary(step)
    }

    private func isCovered(_ step: Int, _ window: RangeWindow) -> Bool {
        newest(step, at: window.sequence).sequence > window.oldest
    }

    // MARK: - Making others

    /// The steps of one tombstone, whose range is not empty.
    convenience init(_ tombstone: RangeTombstone) {
        var builder = Builder()
        tombstone.range.lower.withUnsafeBytes { builder.append($0, [tombstone.sequence]) }
        tombstone.range.upper?.withUnsafeBytes { builder.append($0, []) }
        self.init(builder)
    }

    /// What two say together.
    func merged(_ other: RangeSteps) -> RangeSteps {
        var builder = Builder()
        var (own, its) = (0, 0)
        var all: [UInt64] = []
        while own < count || its < other.count {
            let order = order(own, other, its)
            let boundary = order <= 0 ? (self, own) : (other, its)
            if order <= 0 { own += 1 }
            if order >= 0 { its += 1 }
            all.removeAll(keepingCapacity: true)
            Self.unite(
                own > 0 ? sequences(own - 1) : [],
                its > 0 ? other.sequences(its - 1) : [],
                into: &all
            )
            boundary.0.withBoundary(boundary.1) { builder.append($0, all[...]) }
        }
        return RangeSteps(builder)
    }

    /// Which of two boundaries comes first: negative for the own one, 0 when they are the same. One
    /// behind the last step comes last.
    private func order(_ own: Int, _ other: RangeSteps, _ its: Int) -> Int {
        guard own < count else { return 1 }
        guard its < other.count else { return -1 }
        return withBoundary(own) { left in
            other.withBoundary(its) { right in
                if left.precedes(right) { return -1 }
                return right.precedes(left) ? 1 : 0
            }
        }
    }

    /// Merges two descending runs, each sequence once.
    private static func unite(
        _ left: ArraySlice<UInt64>,
        _ right: ArraySlice<UInt64>,
        into all: inout [UInt64]
    ) {
        var (left, right) = (left, right)
        while let first = left.first, let second = right.first {
            all.append(max(first, second))
            if first >= second { left.removeFirst() }
            if second >= first { right.removeFirst() }
        }
        all.append(contentsOf: left)
        all.append(contentsOf: right)
    }

    /// The part within a range that is not empty.
    func clipped(to range: KeyRange) -> RangeSteps {
        var builder = Builder()
        let first = range.lower.withUnsafeBytes { step(of: $0) }
        let last = range.upper?.withUnsafeBytes { step(before: $0) } ?? count - 1
        if first >= 0 {
            range.lower.withUnsafeBytes { builder.append($0, sequences(first)) }
        }
        for step in (first + 1)..<max(first + 1, last + 1) {
            withBoundary(step) { builder.append($0, sequences(step)) }
        }
        range.upper?.withUnsafeBytes { builder.append($0, []) }
        return RangeSteps(builder)
    }

    /// The same steps with some sequences left out; the closure appends those that are kept.
    func filtered(_ keep: (ArraySlice<UInt64>, inout [UInt64]) -> Void) -> RangeSteps {
        var builder = Builder()
        var kept: [UInt64] = []
        for step in 0..<count {
            kept.removeAll(keepingCapacity: true)
            keep(sequences(step), &kept)
            withBoundary(step) { builder.append($0, kept[...]) }
        }
        return RangeSteps(builder)
    }

    /// Takes steps in order, and drops those that change nothing.
    struct Builder {
        fileprivate var keys: [UInt8] = []
        fileprivate var keyEnds: [Int] = []
        fileprivate var sequences: [UInt64] = []
        fileprivate var sequenceEnds: [Int] = []

        mutating func append(_ boundary: UnsafeRawBufferPointer, _ covering: ArraySlice<UInt64>) {
            let start = sequenceEnds.count < 2 ? 0 : sequenceEnds[sequenceEnds.count - 2]
            if sequences[start...].elementsEqual(covering) { return }
            keys.append(contentsOf: boundary)
            keyEnds.append(keys.count)
            sequences.append(contentsOf: covering)
            sequenceEnds.append(sequences.count)
        }

        consuming func finish() -> RangeSteps { RangeSteps(self) }
    }
}
