internal import CEngineSystem
internal import Synchronization

// How readers use what somebody else replaces, without a lock and without a counter that all of
// them share: sleepable read-copy-update (McKenney, "Sleepable RCU", 2006).
//
// Readers count themselves in and out, in one of two counters of a stripe of their own; which of
// the two, the epoch says. What was replaced is freed once nobody can still use it:
//
// (1) Replace the pointer, then retire what it named.
// (2) Wait until the counters of the other epoch are all zero. Only readers that read the epoch
//     long ago can be there.
// (3) Change the epoch, and wait until the counters of the one before are all zero.
//
// A reader that loaded the old pointer was counted before that, so it is in one of the two counters
// from before (1) on, and (2) or (3) waits for it. Every step is sequentially consistent. Nobody
// sleeps in (2) or (3): ``collect()`` goes as far as it can, and is called again.

/// Keeps what was replaced until no reader can use it any more.
///
/// Thread safety: every method may be called from any thread.
package final class ReadGate: @unchecked Sendable {
    /// What a reader gives back when it leaves.
    package struct Pass {
        fileprivate let counter: UnsafeMutablePointer<Atomic<Int>>
    }

    /// As many as four bits can tell apart.
    private static let stripeCount = 16
    /// Stripes lie in cache lines of their own; two, since the processor fetches pairs.
    private static let stripeSize = 128

    private let stripes: UnsafeMutableRawPointer
    private let epoch = Atomic<Int>(0)
    private let lock = Lock()

    // The lock.
    private var retired: [AnyObject] = []
    private var draining: [AnyObject] = []
    private enum Stage { case idle, beforeChange, afterChange }
    private var stage = Stage.idle

    package init() {
        stripes = .allocate(
            byteCount: Self.stripeCount * Self.stripeSize,
            alignment: Self.stripeSize
        )
        for stripe in 0..<Self.stripeCount {
            for parity in 0..<2 { counter(stripe, parity).initialize(to: Atomic(0)) }
        }
    }

    deinit { stripes.deallocate() }

    private func counter(_ stripe: Int, _ parity: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        let place = stripes + stripe * Self.stripeSize + parity * 64
        return place.assumingMemoryBound(to: Atomic<Int>.self)
    }

    // MARK: - Readers

    /// Begins to read. Load the pointer afterwards.
    @inline(__always)
    package func enter() -> Pass {
        let parity = epoch.load(ordering: .sequentiallyConsistent)
        let counter = counter(Int(csystem_thread_mark() >> 60), parity)
        counter.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent)
        return Pass(counter: counter)
    }

    /// Ends what ``enter()`` began, on any thread.
    @inline(__always)
    package func leave(_ pass: Pass) {
        pass.counter.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent)
    }

    // MARK: - Writers

    /// Keeps an object, which new readers cannot find any more, until no reader uses it and
    /// somebody calls ``collect()``: freeing it may take long.
    package func retire(_ object: AnyObject) { lock.with { retired.append(object) } }

    /// Whether something waits for readers to leave.
    package var isHolding: Bool { lock.with { stage != .idle || !retired.isEmpty } }

    /// Frees what no reader can use any more.
    package func collect() {
        // What is freed may take long, and may retire something itself.
        var free: [AnyObject] = []
        lock.with {
            while advance(&free) {}
        }
        free.removeAll()
    }

    /// Takes one step; `false` when readers must leave first, or nothing is left.
    private func advance(_ free: inout [AnyObject]) -> Bool {
        let current = epoch.load(ordering: .sequentiallyConsistent)
        switch stage {
        case .idle:
            guard !retired.isEmpty else { return false }
            swap(&draining, &retired)
            stage = .beforeChange
        case .beforeChange:
            guard isEmpty(1 - current) else { return false }
            epoch.store(1 - current, ordering: .sequentiallyConsistent)
            stage = .afterChange
        case .afterChange:
            guard isEmpty(1 - current) else { return false }
            free += draining
            draining.removeAll()
            stage = .idle
        }
        return true
    }

    private func isEmpty(_ parity: Int) -> Bool {
        (0..<Self.stripeCount).allSatisfy {
            counter($0, parity).pointee.load(ordering: .sequentiallyConsistent) == 0
        }
    }
}
