internal import StorageEngine

/// A job that one more thread does beside the workers of a round, until it is stopped.
///
/// Thread safety: one thread makes and stops it.
final class BackgroundJob: @unchecked Sendable {
    private let lock = Lock()
    private let changed = Condition()
    private var isStopped = false
    private var operations = 0
    private var elapsed: UInt64 = 0
    private var failure: (any Error)?
    private var thread: WorkerThread?

    /// Begins at once.
    ///
    /// - Parameters:
    ///   - rate: Operations a second; `nil` when the next follows the last.
    ///   - make: Makes the job, on its thread.
    init<J: Job & ~Copyable>(rate: Double?, making make: @escaping @Sendable () throws -> J) {
        thread = WorkerThread(name: "bench-beside") { [self] in
            do {
                var job = try make()
                try run(&job, rate)
            } catch {
                failure = error
            }
        }
    }

    /// Lets the step in hand end; there is at least one.
    ///
    /// - Returns: Operations a second.
    func stop() throws -> Double {
        lock.with {
            isStopped = true
            changed.broadcast()
        }
        thread?.join()
        thread = nil
        if let failure { throw failure }
        return elapsed > 0 ? Double(operations) * 1e9 / Double(elapsed) : 0
    }

    private func run<J: Job & ~Copyable>(_ job: inout J, _ rate: Double?) throws {
        let start = Clock.now
        repeat {
            operations += try job.step().operations
            elapsed = Clock.now - start
        } while waits(until: rate.map { start + UInt64(Double(operations) * 1e9 / $0) } ?? 0)
    }

    /// Waits for an operation's intended start. It never spins: a late one is made up for by the
    /// next, and the workers need the processors.
    ///
    /// - Returns: `false` when the job was stopped.
    private func waits(until intended: UInt64) -> Bool {
        lock.with {
            while !isStopped, Clock.now < intended { changed.wait(lock, until: intended) }
            return !isStopped
        }
    }
}
