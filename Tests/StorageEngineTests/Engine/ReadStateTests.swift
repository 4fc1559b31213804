import StorageEngineTestSupport
import Synchronization
import Testing

@testable import StorageEngine

@Suite struct ReadStateTests {
    /// A snapshot keeps an old version, which a read beside the writer must not take for the
    /// latest.
    @Test func aReadBesideAWriterNeverGoesBackToWhatASnapshotKeeps() {
        let state = ReadState(lastSequence: 0)
        let isDone = Atomic<Bool>(false)
        let stale = Atomic<Int>(0)
        @Sendable func write(_ sequence: UInt64) {
            let retention = state.retention
            _ = [1].withUnsafeBytes { key in
                withUnsafeBytes(of: sequence) { value in
                    state.index.insert(
                        key: key,
                        value: value,
                        flags: 0,
                        sequence: sequence,
                        retention: retention
                    )
                }
            }
            state.publish(sequence)
        }
        write(1)
        let snapshot = state.registerSnapshot()
        let readers = (0..<2).map { _ in
            WorkerThread(name: "reader") {
                while !isDone.load(ordering: .acquiring) {
                    let least = state.visibleSequence
                    let value = [1].withUnsafeBytes { state.latest($0) }
                    let found = value?.loadUnaligned(as: UInt64.self) ?? 0
                    if found < least { stale.add(1, ordering: .relaxed) }
                }
            }
        }
        for sequence in UInt64(2)...200_000 { write(sequence) }
        isDone.store(true, ordering: .releasing)
        for reader in readers { reader.join() }

        #expect(stale.load(ordering: .relaxed) == 0)
        state.snapshots.release(snapshot)
    }
}
