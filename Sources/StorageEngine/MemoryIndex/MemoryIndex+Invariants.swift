// What must hold of a memory index that nobody is writing to. A child is compared with the sample
// of its parent only; that all keys below a node agree follows from node to node.

extension MemoryIndex {
    /// Traps unless the index is what its writer should have made. For tests; the writer is idle.
    ///
    /// Complexity: O(bytes of all keys and nodes).
    package func checkInvariants() {
        var total = InvariantTotals()
        var open: [IndexReference] = []
        if !rootReference.isNone { open.append(rootReference) }
        while let reference = open.popLast() {
            if let leaf = reference.leaf {
                leaf.checkInvariants(&total)
            } else {
                reference.node.checkInvariants(&total)
                reference.node.appendEntries(to: &open)
            }
        }
        precondition(total.keys == keyCount, "every key is counted")
        precondition(total.versions == versionCount, "every linked version is counted")
        precondition(total.bytes + unlinkedBytes <= usedBytes, "what is linked has its memory")
        precondition(usedBytes <= byteCount, "what is used was taken from the system")
    }
}

/// What a walk through an index has met.
private struct InvariantTotals {
    var keys = 0
    var versions = 0
    /// Of inner nodes, leaves and linked versions.
    var bytes = 0
}

extension IndexLeaf {
    fileprivate func checkInvariants(_ total: inout InvariantTotals) {
        total.keys += 1
        total.bytes += Self.size(keySize: key.count)
        var version = newest
        precondition(version != nil, "a key has a version")
        while let current = version {
            total.versions += 1
            total.bytes += current.size
            version = current.next
            if let version {
                precondition(version.sequence < current.sequence, "versions go from new to old")
            }
        }
    }
}

extension IndexNode {
    fileprivate func checkInvariants(_ total: inout InvariantTotals) {
        total.bytes += Self.size(kind)
        let path = sample.key
        precondition(path.count >= branch, "the sample spells the path")
        precondition(agreement(with: path, from: max(0, branch - 8)) == branch, "prefix: the path")
        if let leaf = end.leaf {
            precondition(leaf.key.count == branch, "the end leaf's key ends at the branch")
            precondition(leaf.key.commonCount(path) == branch, "the end leaf is on the path")
        }
        let bytes = checkChildren()
        precondition(bytes.count + (end.isNone ? 0 : 1) >= 2, "a node tells keys apart")
        var backward: [Int] = []
        while let child = child(before: backward.last ?? 256) { backward.append(child.byte) }
        precondition(backward == bytes.reversed(), "children are the same both ways")
    }

    /// Checks each child against the sample, and returns their key bytes in order.
    private func checkChildren() -> [Int] {
        var bytes: [Int] = []
        while let next = child(after: bytes.last ?? -1) {
            precondition(next.byte > bytes.last ?? -1, "children are in order")
            precondition(child(UInt8(next.byte)) == next.reference, "a child is found by its byte")
            if next.reference.leaf == nil {
                precondition(next.reference.node.branch > branch, "branches get deeper")
            }
            let key = next.reference.leaf?.key ?? next.reference.node.sample.key
            precondition(key.count > branch, "a child's keys are longer than the path")
            precondition(Int(key[branch]) == next.byte, "a child has its byte")
            precondition(key.commonCount(sample.key) >= branch, "a child is on the path")
            bytes.append(next.byte)
        }
        return bytes
    }

    fileprivate func appendEntries(to open: inout [IndexReference]) {
        if !end.isNone { open.append(end) }
        var next = child(after: -1)
        while let current = next {
            open.append(current.reference)
            next = child(after: current.byte)
        }
    }
}
