/// A place in the keys of an index, as of a sequence; moves both ways.
///
/// It yields each key that has a version at or below the sequence, with the newest such one,
/// tombstones included. The sequence must stay registered while the cursor is used.
///
/// A cursor remembers the nodes on its way. The writer may replace them meanwhile, but a node that
/// was replaced still holds all that it held before, and what came later is newer than the
/// sequence.
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
    /// The last step of the way; `nil` above the root.
    private var step: Step?
    /// The steps before it.
    private var ancestors: [Step] = []
    private var leaf: IndexLeaf?
    private var found: IndexVersion?

    package init(_ index: MemoryIndex, at sequence: UInt64) {
        self.index = index
        self.sequence = sequence
        ancestors.reserveCapacity(16)
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
        reset()
        descend(toFirstOf: index.rootReference)
        return isVisible() || next()
    }

    package mutating func seekToLast() -> Bool {
        reset()
        descend(toLastOf: index.rootReference)
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
    @inline(__always)
    private mutating func isVisible() -> Bool {
        found = leaf?.version(at: sequence)
        return found != nil
    }

    // MARK: - Leaves, whatever their versions

    private mutating func reset() {
        ancestors.removeAll(keepingCapacity: true)
        step = nil
        leaf = nil
    }

    /// Goes to the first leaf at or behind a key.
    private mutating func seekPhysically(to key: UnsafeRawBufferPointer) {
        reset()
        var reference = index.rootReference
        var depth = 0
        while !reference.isNone {
            if let only = reference.leaf {
                leaf = only
                return only.key.precedes(key) ? stepForward() : ()
            }
            let node = reference.node
            let common = node.agreement(with: key, from: depth)
            guard common == node.branch, common < key.count else {
                let isBehind =
                    common == key.count || node.sample.key[common] > key[common]
                return isBehind ? descend(toFirstOf: reference) : stepForward()
            }
            push(node, Int(key[common]))
            reference = node.child(key[common])
            depth = common + 1
        }
        // The node has no child for the key's byte: the next one above begins what is behind.
        stepForward()
    }

    @inline(__always)
    private mutating func push(_ node: IndexNode, _ byte: Int) {
        if let step { ancestors.append(step) }
        step = Step(node: node, byte: byte)
    }

    /// Goes to the first leaf behind where the path points.
    private mutating func stepForward() {
        leaf = nil
        while let step {
            if let child = step.node.child(after: step.byte) {
                self.step = Step(node: step.node, byte: child.byte)
                if let next = child.reference.leaf {
                    leaf = next
                    return
                }
                prefetch(step.node.child(after: child.byte))
                return descend(toFirstOf: child.reference)
            }
            self.step = ancestors.popLast()
        }
    }

    /// Goes to the last leaf before where the path points.
    private mutating func stepBackward() {
        leaf = nil
        while let step {
            if step.byte > 0, let child = step.node.child(before: step.byte) {
                self.step = Step(node: step.node, byte: child.byte)
                if let next = child.reference.leaf {
                    leaf = next
                    return
                }
                prefetch(step.node.child(before: child.byte))
                return descend(toLastOf: child.reference)
            }
            if step.byte != Self.end, let end = step.node.end.leaf {
                self.step = Step(node: step.node, byte: Self.end)
                leaf = end
                return
            }
            self.step = ancestors.popLast()
        }
    }

    /// Asks for what comes behind the node that the cursor goes to: a scan would wait for the
    /// memory at each entry otherwise, three times as long in all.
    @inline(__always)
    private func prefetch(_ child: IndexNode.Child?) {
        guard let child, child.reference.leaf == nil else { return }
        child.reference.node.prefetchChildren()
    }

    private mutating func descend(toFirstOf start: IndexReference) {
        var reference = start
        while !reference.isNone {
            if let first = reference.leaf {
                leaf = first
                return
            }
            let node = reference.node
            if let end = node.end.leaf {
                push(node, Self.end)
                leaf = end
                return
            }
            guard let child = node.child(after: -1) else { return }
            push(node, child.byte)
            reference = child.reference
        }
    }

    private mutating func descend(toLastOf start: IndexReference) {
        var reference = start
        while !reference.isNone {
            if let last = reference.leaf {
                leaf = last
                return
            }
            let node = reference.node
            guard let child = node.child(before: 256) else { return }
            push(node, child.byte)
            reference = child.reference
        }
    }
}
