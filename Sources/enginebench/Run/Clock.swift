internal import Glibc

/// The monotonic clock, in nanoseconds.
enum Clock {
    static var now: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    /// The processor time of the calling thread.
    static var threadTime: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    static func nanoseconds(seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }
}

/// When operations are meant to start, so many a second over all workers.
struct Pace: Sendable {
    private let start: UInt64
    private let interval: Double
    private let workerCount: Int
    private let worker: Int
    /// Closer than this to the time, a worker yields instead of sleeping: sleep is not that exact.
    private static let margin: UInt64 = 80_000

    init(rate: Double, start: UInt64, worker: Int, of workerCount: Int) {
        self.start = start
        interval = 1e9 / rate
        self.worker = worker
        self.workerCount = workerCount
    }

    /// When the operation behind a number of the worker's own is meant to start.
    private func intended(after count: Int) -> UInt64 {
        start + UInt64(Double(count * workerCount + worker) * interval)
    }

    /// Waits for an operation's intended start, blocking the thread, and returns it.
    func wait(after count: Int) -> UInt64 {
        let intended = intended(after: count)
        while true {
            let now = Clock.now
            guard now < intended else { return intended }
            if intended - now > Self.margin {
                let pause = intended - now - Self.margin
                var time = timespec(
                    tv_sec: Int(pause / 1_000_000_000),
                    tv_nsec: Int(pause % 1_000_000_000)
                )
                unsafe nanosleep(&time, nil)
            } else {
                sched_yield()
            }
        }
    }

    /// Waits for an operation's intended start, suspended, and returns it.
    func wait(after count: Int) async throws -> UInt64 {
        let intended = intended(after: count)
        while true {
            let now = Clock.now
            guard now < intended else { return intended }
            if intended - now > Self.margin {
                try await Task.sleep(for: .nanoseconds(Int64(intended - now - Self.margin)))
            } else {
                await Task.yield()
            }
        }
    }
}
