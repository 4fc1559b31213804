internal import Synchronization

/// The range tombstones of an index, which readers find without a lock.
///
/// The writer makes a new set for each tombstone and publishes it by one store. Readers may still
/// hold the sets before it, and nobody knows for how long: all are kept until the index goes. Sets
/// that came from one another share most of their parts, so that n of them take O(n log n) memory.
///
/// Sequences are dropped as versions are, when a reader can no longer ask for them. A reader who
/// still does meets a newer tombstone over the same key, which is published, and so learns of it
/// (`MemoryIndex.Found.sawNewer`).
///
/// Thread safety: one thread at a time inserts; everything else may be called from any thread.
final class IndexRanges: @unchecked Sendable {
    /// One published set.
    ///
    /// Thread safety: never changes.
    private final class Published: Sendable {
        let set: RangeTombstones

        init(_ set: RangeTombstones) { self.set = set }
    }

    /// All sets, the newest last; the writer's.
    private var all: [Published] = []
    /// The newest set's address, 0 for none.
    private let newest = Atomic<UInt>(0)
    private let bytes = Atomic<Int>(0)

    var byteCount: Int { bytes.load(ordering: .relaxed) }

    var current: RangeTombstones { withCurrent { $0 } ?? .none }

    /// What covers a key; `nil` when there are no tombstones at all.
    @inline(__always)
    func cover(
        of key: UnsafeRawBufferPointer,
        at sequence: UInt64
    ) -> RangeTombstones.Cover? {
        withCurrent { $0.cover(of: key, at: sequence) }
    }

    func insert(_ tombstone: RangeTombstone, _ retention: MemoryIndex.Retention) {
        guard !tombstone.range.isEmpty else { return }
        let set = current.adding(
            tombstone,
            visible: retention.visible,
            registered: retention.registered
        )
        let published = Published(set)
        all.append(published)
        bytes.store(byteCount + set.addedByteCount + 64, ordering: .relaxed)
        let address = UInt(bitPattern: Unmanaged.passUnretained(published).toOpaque())
        newest.store(address, ordering: .releasing)
    }

    /// Calls a closure with the newest set, which lives as long as the index.
    @inline(__always)
    private func withCurrent<R>(_ body: (RangeTombstones) -> R) -> R? {
        guard let address = UnsafeRawPointer(bitPattern: newest.load(ordering: .acquiring)) else {
            return nil
        }
        return Unmanaged<Published>.fromOpaque(address)._withUnsafeGuaranteedRef { body($0.set) }
    }
}
