/// A place in the keys of an index, as of a sequence; moves both ways.
///
/// It yields each key that has a version at or below the sequence, with the newest such one, tombstones
/// included. The sequence must stay registered while the cursor is used.
///
/// A cursor remembers the nodes on its way. The writer may replace them meanwhile, but a node that was
/// replaced still holds all that it held before, and what came later is newer than the sequence.
///
/// Thread safety: none; one owner.
package struct MemoryIndexCursor: ~Copyable, @unchecked Sendable {
    /// A node on the way to the leaf, and which way was taken: a key byte, or ``end``.
    private struct Step {
        let node: IndexNode
        var byte: Int
    }

    /// The way to a node's end leaf, before all bytes.
    private static let end = -1

    private let index: MemoryIndex
    private let sequence: UInt64
    private var path: [Step] = []
    private var leaf: IndexLeaf?
    private var found: IndexVersion?

    package init(_ index: MemoryIndex, at sequence: UInt64) {
        self.index = index
        self.sequence = sequence
        path.reserveCapacity(16)
    }

    /// The key where the cursor stands; valid as long as the index.
    package var key: UnsafeRawBufferPointer {
        guard let leaf else { preconditionFailure("the cursor stands on no entry") }
        return leaf.key
    }

    /// The version where the cursor stands; valid as long as the index.
    package var version: IndexVersion {
        guard let found else { preconditionFailure("the cursor stands on no entry") }
        return found
    }

    // MARK: - Moves

    /// Moves to the next entry; `false` when there is none, or when the cursor stands on none.
    package mutating func next() -> Bool {
        while leaf != nil {
            stepForward()
            if isVisible() { return true }
        }
        return false
    }

    /// Moves to the entry before; `false` when there is none, or when the cursor stands on none.
    package mutating func previous() -> Bool {
        while leaf != nil {
            stepBackward()
            if isVisible() { return true }
        }
        return false
    }

    package mutating func seekToFirst() -> Bool {
        descend(toFirstOf: index.rootReference, fromTop: true)
        return isVisible() || next()
    }

    package mutating func seekToLast() -> Bool {
        path.removeAll(keepingCapacity: true)
        leaf = nil
        if !index.rootReference.isNone { descend(toLastOf: index.rootReference) }
        return isVisible() || previous()
    }

    /// Moves to the first entry at or behind a key.
    package mutating func seek(to key: UnsafeRawBufferPointer) -> Bool {
        seekPhysically(to: key)
        return isVisible() || next()
    }

    /// Moves to the last entry before a key.
    package mutating func seek(before key: UnsafeRawBufferPointer) -> Bool {
        seekPhysically(to: key)
        return leaf == nil ? seekToLast() : previous()
    }

    /// Whether the cursor stands on a leaf with a version that it may see, which is then found.
    private mutating func isVisible() -> Bool {
        found = leaf?.version(at: sequence)
        return found != nil
    }

    // MARK: - Leaves, whatever their versions

    /// Goes to the first leaf at or behind a key.
    private mutating func seekPhysically(to key: UnsafeRawBufferPointer) {
        path.removeAll(keepingCapacity: true)
        leaf = nil
        guard let nearest = nearestLeaf(to: key) else { return }
        let common = key.commonCount(nearest.key)
        let isBehind =
            common < nearest.key.count
            && (common == key.count || nearest.key[common] > key[common])
        var reference = index.rootReference
        while reference.leaf == nil, reference.node.branch < common {
            let node = reference.node
            let byte = Int(key[node.branch])
            path.append(Step(node: node, byte: byte))
            reference = node.child(UInt8(byte))
        }
        if let only = reference.leaf {
            leaf = only
            if only.key.precedes(key) { stepForward() }
        } else if reference.node.branch == common, common < key.count {
            // The node has no child for the key's byte; the next one above it begins what is behind.
            path.append(Step(node: reference.node, byte: Int(key[common])))
            stepForward(orStay: true)
        } else if isBehind || common == key.count {
            descend(toFirstOf: reference, fromTop: false)
        } else {
            stepForward(orStay: true)
        }
    }

    /// Some leaf that shares as many leading bytes with a key as any does.
    private func nearestLeaf(to key: UnsafeRawBufferPointer) -> IndexLeaf? {
        var reference = index.rootReference
        guard !reference.isNone else { return nil }
        while true {
            if let leaf = reference.leaf { return leaf }
            let node = reference.node
            guard node.branch < key.count else {
                return node.branch == key.count ? node.end.leaf ?? node.sample : node.sample
            }
            let child = node.child(key[node.branch])
            if child.isNone { return node.sample }
            reference = child
        }
    }

    private mutating func stepForward() { stepForward(orStay: false) }

    /// Goes to the first leaf behind where the path points.
    private mutating func stepForward(orStay: Bool) {
        leaf = nil
        while let step = path.last {
            if let byte = step.node.nextByte(after: step.byte) {
                path[path.count - 1].byte = byte
                return descend(toFirstOf: step.node.child(UInt8(byte)), fromTop: false)
            }
            path.removeLast()
        }
    }

    /// Goes to the last leaf before where the path points.
    private mutating func stepBackward() {
        leaf = nil
        while let step = path.last {
            if step.byte > 0, let byte = step.node.previousByte(before: step.byte) {
                path[path.count - 1].byte = byte
                return descend(toLastOf: step.node.child(UInt8(byte)))
            }
            if step.byte != Self.end, let end = step.node.end.leaf {
                path[path.count - 1].byte = Self.end
                leaf = end
                return
            }
            path.removeLast()
        }
    }

    private mutating func descend(toFirstOf start: IndexReference, fromTop: Bool) {
        if fromTop { path.removeAll(keepingCapacity: true) }
        leaf = nil
        var reference = start
        while !reference.isNone {
            if let first = reference.leaf {
                leaf = first
                return
            }
            let node = reference.node
            if let end = node.end.leaf {
                path.append(Step(node: node, byte: Self.end))
                leaf = end
                return
            }
            guard let byte = node.nextByte(after: -1) else { return }
            path.append(Step(node: node, byte: byte))
            reference = node.child(UInt8(byte))
        }
    }

    private mutating func descend(toLastOf start: IndexReference) {
        var reference = start
        while reference.leaf == nil {
            let node = reference.node
            guard let byte = node.previousByte(before: 256) else { break }
            path.append(Step(node: node, byte: byte))
            reference = node.child(UInt8(byte))
        }
        leaf = reference.leaf
    }
}
