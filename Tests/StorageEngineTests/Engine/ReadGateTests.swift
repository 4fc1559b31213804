import Synchronization
import Testing

@testable import StorageEngine

@Suite struct ReadGateTests {
    /// Something that readers can see has been freed.
    private final class Guarded: Sendable {
        let freed: Freed
        init(_ freed: Freed) { self.freed = freed }
        deinit { freed.flag.store(true, ordering: .sequentiallyConsistent) }
    }

    private final class Freed: Sendable {
        let flag = Atomic(false)
        var value: Bool { flag.load(ordering: .sequentiallyConsistent) }
    }

    @Test func whatIsRetiredIsFreedWhenThoseInsideHaveLeft() {
        let gate = ReadGate()
        let freed = Freed()
        let first = gate.enter()
        gate.retire(Guarded(freed))
        let second = gate.enter()
        gate.collect()
        #expect(!freed.value && gate.isHolding)

        gate.leave(first)
        gate.collect()
        gate.leave(second)
        gate.collect()

        #expect(freed.value && !gate.isHolding)
    }

    @Test func withoutReadersItIsFreedAtOnce() {
        let gate = ReadGate()
        for _ in 0..<5 {
            let freed = Freed()
            gate.retire(Guarded(freed))
            gate.collect()
            #expect(freed.value)
        }
    }

    @Test func readersNeverSeeAnythingFreed() {
        final class Shared: @unchecked Sendable {
            let gate = ReadGate()
            let current: Atomic<UnsafeRawPointer>
            let isDone = Atomic(false)
            let wrong = Atomic(0)
            init() {
                current = Atomic(
                    UnsafeRawPointer(Unmanaged.passRetained(Guarded(Freed())).toOpaque())
                )
            }
        }
        let shared = Shared()
        let readers = (0..<3).map { _ in
            WorkerThread(name: "reader") {
                while !shared.isDone.load(ordering: .acquiring) {
                    let pass = shared.gate.enter()
                    let pointer = shared.current.load(ordering: .sequentiallyConsistent)
                    let guarded = Unmanaged<Guarded>.fromOpaque(pointer).takeUnretainedValue()
                    if guarded.freed.value { shared.wrong.add(1, ordering: .relaxed) }
                    shared.gate.leave(pass)
                }
            }
        }
        for _ in 0..<20_000 {
            let fresh = Unmanaged.passRetained(Guarded(Freed()))
            let old = shared.current.exchange(
                UnsafeRawPointer(fresh.toOpaque()),
                ordering: .sequentiallyConsistent
            )
            shared.gate.retire(Unmanaged<Guarded>.fromOpaque(old).takeRetainedValue())
            shared.gate.collect()
        }
        shared.isDone.store(true, ordering: .releasing)
        for reader in readers { reader.join() }
        shared.gate.collect()

        #expect(shared.wrong.load(ordering: .relaxed) == 0)
        #expect(!shared.gate.isHolding)
        let last = shared.current.load(ordering: .relaxed)
        Unmanaged<Guarded>.fromOpaque(last).release()
    }
}
