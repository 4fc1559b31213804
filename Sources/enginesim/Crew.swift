import Glibc
import StorageEngine
import StorageEngineTestSupport

/// Runs pieces of work that share nothing on a few threads, and watches that each ends.
struct Crew {
    let threads: Int

    /// A piece of work that takes longer hangs, in nanoseconds.
    private static let timeMax: UInt64 = 300_000_000_000

    /// What came of an item.
    struct Piece {
        let tally: Tally
        /// `nil` for what is not run twice.
        let hash: UInt64?
    }

    struct Done {
        var tally = Tally()
        var hashes: [UInt64: UInt64] = [:]
        /// How many items were done, from the first one on without a gap.
        var count = 0
        var failure: (item: UInt64, error: any Error)?
    }

    private final class State: @unchecked Sendable {
        let lock = Lock()
        let condition = Condition()
        // The lock.
        var done = Done()
        var next: UInt64
        var running: [Int: (item: UInt64, since: UInt64)] = [:]
        var threadsLeft: Int

        init(next: UInt64, threads: Int) {
            self.next = next
            threadsLeft = threads
        }
    }

    /// Does the items of a range in order, and stops at a failure, at the end of the time once so
    /// many were done, or at the end of the range.
    func run(
        _ items: Range<UInt64>,
        until end: UInt64,
        atLeast count: UInt64,
        _ body: @escaping @Sendable (UInt64) throws -> Piece
    ) -> Done {
        let state = State(next: items.lowerBound, threads: threads)
        let time = SystemTime()
        RunningItems.watchForTraps(threads: threads)
        let workers = (0..<threads).map { thread in
            WorkerThread(name: "sim-\(thread)") {
                while let item = Self.take(state, items, thread, until: end, atLeast: count) {
                    RunningItems.set(item, thread: thread)
                    let result = Result { try body(item) }
                    Self.finish(state, item, thread, result)
                }
                state.lock.with {
                    state.threadsLeft -= 1
                    state.condition.broadcast()
                }
            }
        }
        state.lock.acquire()
        while state.threadsLeft > 0 {
            let now = time.monotonicNanoseconds
            let hanging = state.running.values.first { now > $0.since + Self.timeMax }
            if let hanging {
                print("FAILED: item \(hanging.item) hangs")
                exit(1)
            }
            state.condition.wait(state.lock, until: now + 5_000_000_000)
        }
        let done = state.done
        state.lock.release()
        for worker in workers { worker.join() }
        return done
    }

    private static func take(
        _ state: State,
        _ items: Range<UInt64>,
        _ thread: Int,
        until end: UInt64,
        atLeast count: UInt64
    ) -> UInt64? {
        let now = SystemTime().monotonicNanoseconds
        return state.lock.with {
            let isLate = now >= end && state.next - items.lowerBound >= count
            guard state.done.failure == nil, state.next < items.upperBound, !isLate else {
                return nil
            }
            defer { state.next += 1 }
            state.running[thread] = (state.next, now)
            return state.next
        }
    }

    private static func finish(
        _ state: State,
        _ item: UInt64,
        _ thread: Int,
        _ result: Result<Piece, any Error>
    ) {
        state.lock.with {
            state.running[thread] = nil
            switch result {
            case .success(let piece):
                state.done.tally += piece.tally
                state.done.hashes[item] = piece.hash
                state.done.count += 1
            case .failure(let error):
                if state.done.failure == nil { state.done.failure = (item, error) }
            }
        }
    }
}

/// What runs, for the message when a precondition of the engine traps.
private enum RunningItems {
    nonisolated(unsafe) private static var items: UnsafeMutablePointer<UInt64>?
    nonisolated(unsafe) private static var count = 0

    static func watchForTraps(threads: Int) {
        if items == nil {
            items = .allocate(capacity: threads)
            items?.initialize(repeating: .max, count: threads)
            count = threads
        }
        for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT, SIGBUS] {
            Glibc.signal(signal) { number in
                RunningItems.tell()
                Glibc.signal(number, SIG_DFL)
                raise(number)
            }
        }
    }

    static func set(_ item: UInt64, thread: Int) { items?[thread] = item }

    /// Nothing here allocates: the process is in a signal handler.
    private static func tell() {
        write("FAILED: trap in one of the items")
        for thread in 0..<count {
            guard let item = items?[thread], item < .max else { continue }
            write(" ")
            writeNumber(item)
        }
        write("\n")
    }

    private static func write(_ text: StaticString) {
        _ = Glibc.write(1, text.utf8Start, text.utf8CodeUnitCount)
    }

    private static func writeNumber(_ number: UInt64) {
        var divisor: UInt64 = 1
        while number / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            var digit = UInt8(ascii: "0") + UInt8(number / divisor % 10)
            _ = Glibc.write(1, &digit, 1)
            divisor /= 10
        }
    }
}
