internal import Synchronization

/// What readers share with the one writer: the index, and up to where it may be read.
///
/// Thread safety: everything but inserting into the index may be done from any thread.
final class ReadState: Sendable {
    let index = MemoryIndex()
    let snapshots = SnapshotRegistry()
    /// Every write at or below this sequence is readable. Never goes down.
    private let visible: Atomic<UInt64>

    init(lastSequence: UInt64) { visible = Atomic(lastSequence) }

    var visibleSequence: UInt64 { visible.load(ordering: .acquiring) }

    /// Makes everything up to a sequence readable.
    func publish(_ sequence: UInt64) { visible.store(sequence, ordering: .releasing) }

    /// Registers the latest state and returns its sequence.
    func registerSnapshot() -> UInt64 { snapshots.register { visibleSequence } }

    /// What an insert must leave for those who read.
    var retention: MemoryIndex.Retention {
        MemoryIndex.Retention(visible: visibleSequence, registered: snapshots.registered)
    }

    /// The newest value of a key, `nil` when it is absent or deleted. Valid as long as the index.
    func latest(_ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        var sequence = visibleSequence
        while true {
            let found = index.find(key, at: sequence)
            let latest = found.sawNewer ? visibleSequence : sequence
            guard latest != sequence else {
                guard let version = found.version else { return nil }
                return version.isTombstone ? nil : version.value
            }
            // A writer has published since we looked, so it may have unlinked what was visible
            // then: what we found may be a version that is kept for an older snapshot, or nothing.
            sequence = latest
        }
    }

    /// A key's value at a registered sequence, `nil` when it was absent or deleted.
    func value(_ key: UnsafeRawBufferPointer, at sequence: UInt64) -> UnsafeRawBufferPointer? {
        guard let version = index.find(key, at: sequence).version else { return nil }
        return version.isTombstone ? nil : version.value
    }
}
