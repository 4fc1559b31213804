/// A place among the visible entries of several sources; moves both ways.
///
/// Of a key that several sources have, the newest version is the entry. While moving forward every
/// source stands at its first key at or behind the place, while moving back at its last one at or
/// before it.
///
/// Moves compare with the runner-up alone, the source that comes next: as long as the place stays
/// before it, which is so for long runs where one source holds nearly everything, the others are
/// not looked at.
///
/// Thread safety: none; one owner.
struct MergeCursor: ~Copyable {
    private let sources: [VisibleSource]
    private var isForward = true
    /// The source that has the entry, and the one that comes next.
    private var leader: Int?
    private var runnerUp: Int?

    init(_ sources: [VisibleSource]) { self.sources = sources }

    /// All that is visible of a view at a sequence, and of what lies over it.
    init(_ view: ReadView, at sequence: UInt64, under overlay: VisibleSource? = nil) {
        var sources: [VisibleSource] = overlay.map { [$0] } ?? []
        sources.append(IndexSource(view.active, at: sequence))
        sources += view.sealed.map { IndexSource($0, at: sequence) }
        for (number, level) in view.version.levels.enumerated() where !level.isEmpty {
            if number == 0 {
                sources += level.map { SegmentSource([$0], at: sequence) }
            } else {
                sources.append(SegmentSource(level, at: sequence))
            }
        }
        self.init(sources)
    }

    /// What stands at the place, `nil` for nothing; valid until the cursor moves.
    var entry: VisibleSource.Entry? { leader.flatMap { sources[$0].entry } }

    // MARK: - Moves

    mutating func seekToLast() throws(EngineError) {
        leader = nil
        for source in sources { try source.seekToLast() }
        elect(forward: false)
    }

    /// Moves to the first entry at or behind a key.
    mutating func seek(to key: UnsafeRawBufferPointer) throws(EngineError) {
        leader = nil
        for source in sources { try source.seek(to: key) }
        elect(forward: true)
    }

    /// Moves to the last entry before a key.
    mutating func seek(before key: UnsafeRawBufferPointer) throws(EngineError) {
        leader = nil
        for source in sources { try source.seek(before: key) }
        elect(forward: false)
    }

    /// Stands behind everything.
    mutating func seekToNothing() { leader = nil }

    mutating func next() throws(EngineError) {
        guard let first = leader, let entry = sources[first].entry else { return }
        // Should a source fail, the cursor stands on nothing.
        leader = nil
        if !isForward {
            for (index, source) in sources.enumerated() where index != first {
                try source.seek(to: entry.key)
                try step(source, over: entry.key, forward: true)
            }
            try sources[first].next()
            return elect(forward: true)
        }
        try skip(entry.key, except: first)
        try sources[first].next()
        advance(first)
    }

    mutating func previous() throws(EngineError) {
        guard let first = leader, let entry = sources[first].entry else { return }
        leader = nil
        if isForward {
            for (index, source) in sources.enumerated() where index != first {
                try source.seek(before: entry.key)
            }
            try sources[first].previous()
            return elect(forward: false)
        }
        try skip(entry.key, except: first)
        try sources[first].previous()
        advance(first)
    }

    // MARK: - Order

    /// Moves the other sources that have a key over it. When the runner-up does not have it, none
    /// has.
    private mutating func skip(
        _ key: UnsafeRawBufferPointer,
        except first: Int
    ) throws(EngineError) {
        guard let second = runnerUp, let other = sources[second].entry, other.key.isEqual(to: key)
        else { return }
        for (index, source) in sources.enumerated() where index != first {
            try step(source, over: key, forward: isForward)
        }
        runnerUp = nil
        mustElect = true
    }

    /// Whether the runner-up is unknown.
    private var mustElect = false

    private func step(
        _ source: VisibleSource,
        over key: UnsafeRawBufferPointer,
        forward: Bool
    ) throws(EngineError) {
        guard let entry = source.entry, entry.key.isEqual(to: key) else { return }
        if forward { try source.next() } else { try source.previous() }
    }

    /// Goes on with the source that had the entry while it stays before the runner-up.
    private mutating func advance(_ first: Int) {
        guard !mustElect, let entry = sources[first].entry else { return elect(forward: isForward) }
        if let second = runnerUp, let other = sources[second].entry {
            let isBefore =
                isForward ? entry.key.precedes(other.key) : other.key.precedes(entry.key)
            guard isBefore else { return elect(forward: isForward) }
        }
        leader = first
    }

    /// Finds the source that has the entry, and the one behind it.
    private mutating func elect(forward: Bool) {
        isForward = forward
        mustElect = false
        leader = nil
        runnerUp = nil
        for (index, source) in sources.enumerated() where source.entry != nil {
            if precedes(index, leader) {
                runnerUp = leader
                leader = index
            } else if precedes(index, runnerUp) {
                runnerUp = index
            }
        }
    }

    /// Whether a source's entry comes before another's, or is a newer version of the same key.
    private func precedes(_ index: Int, _ other: Int?) -> Bool {
        guard let other, let left = sources[index].entry, let right = sources[other].entry else {
            return other == nil
        }
        if left.key.isEqual(to: right.key) { return left.sequence > right.sequence }
        return left.key.precedes(right.key) == isForward
    }
}
