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
                    state.active.insert(
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
                    if latest(state) < least { stale.add(1, ordering: .relaxed) }
                }
            }
        }
        for sequence in UInt64(2)...200_000 { write(sequence) }
        isDone.store(true, ordering: .releasing)
        for reader in readers { reader.join() }

        #expect(stale.load(ordering: .relaxed) == 0)
        state.snapshots.release(snapshot)
    }

    /// The number that key 1 holds, 0 when it is absent.
    private func latest(_ state: ReadState) -> UInt64 {
        [1].withUnsafeBytes { key in
            do throws(EngineError) {
                guard case .found(let value) = try state.latest(key) else { return 0 }
                return value.bytes.loadUnaligned(as: UInt64.self)
            } catch {
                return 0
            }
        }
    }
}
