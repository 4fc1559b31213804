internal import StorageEngine

/// How long each worker of a round works: so many operations, or so long.
struct Limit: Sendable {
    var operations = Int.max
    /// In nanoseconds.
    var duration: UInt64 = .max / 2
    /// Operations a second, by all workers together; `nil` when the next follows the last.
    var rate: Double?
    /// Names the round on a terminal.
    var label = ""
}

/// What the workers of a round share.
private struct Round: Sendable {
    let limit: Limit
    let gate: StartGate
    let workerCount: Int
    let progress: Progress?
}

/// What one worker leaves behind; read when it has ended.
private final class Outcome: @unchecked Sendable {
    var tally = Tally()
    var failure: (any Error)?
}

extension Crew {
    /// Lets all workers do their jobs, which they make themselves, and counts what they did.
    func run<J: Job & ~Copyable>(
        _ limit: Limit,
        making make: @escaping @Sendable (Int) throws -> J
    ) throws -> Tally {
        let round = Round(
            limit: limit,
            gate: StartGate(count: count),
            workerCount: count,
            progress: Progress(limit.label, limit, workerCount: count)
        )
        defer { round.progress?.end() }
        let outcomes = (0..<count).map { _ in Outcome() }
        switch self {
        case .threads: Self.runThreads(outcomes, round, making: make)
        case .tasks: Self.runTasks(outcomes, round, making: make)
        }
        var total = Tally()
        for outcome in outcomes {
            if let failure = outcome.failure { throw failure }
            total.merge(outcome.tally)
        }
        return total
    }

    private static func runThreads<J: Job & ~Copyable>(
        _ outcomes: [Outcome],
        _ round: Round,
        making make: @escaping @Sendable (Int) throws -> J
    ) {
        let threads = outcomes.enumerated().map { worker, outcome in
            WorkerThread(name: "bench-\(worker)") {
                do {
                    // Whoever has no job arrives all the same: the others wait for all.
                    let made = Result { try make(worker) }
                    let start = round.gate.arrive()
                    var job = try made.get()
                    let shift = Shift(round, start: start, worker: worker)
                    try shift.run(&job, into: &outcome.tally)
                } catch {
                    outcome.failure = error
                }
            }
        }
        for thread in threads { thread.join() }
    }

    /// Blocks the calling thread, which no task needs.
    private static func runTasks<J: Job & ~Copyable>(
        _ outcomes: [Outcome],
        _ round: Round,
        making make: @escaping @Sendable (Int) throws -> J
    ) {
        let done = Countdown(outcomes.count)
        for (worker, outcome) in outcomes.enumerated() {
            Task.detached {
                do {
                    let made = Result { try make(worker) }
                    let start = await round.gate.arrive()
                    var job = try made.get()
                    let shift = Shift(round, start: start, worker: worker)
                    outcome.tally = try await shift.runAsync(&job)
                } catch {
                    outcome.failure = error
                }
                done.count()
            }
        }
        done.wait()
    }
}

/// Counts down to zero, which a thread waits for.
///
/// Thread safety: every method may be called from any thread.
private final class Countdown: @unchecked Sendable {
    private let lock = Lock()
    private let reachedZero = Condition()
    private var left: Int

    init(_ left: Int) { self.left = left }

    func count() {
        lock.with {
            left -= 1
            if left == 0 { reachedZero.broadcast() }
        }
    }

    func wait() {
        lock.with { while left > 0 { reachedZero.wait(lock) } }
    }
}

/// The part of a round that one worker does.
private struct Shift: Sendable {
    private let operations: Int
    private let start: UInt64
    private let deadline: UInt64
    private let pace: Pace?
    private let progress: Progress?

    init(_ round: Round, start: UInt64, worker: Int) {
        operations = round.limit.operations
        self.start = start
        deadline = start + round.limit.duration
        progress = round.progress
        pace = round.limit.rate.map { rate in
            Pace(rate: rate, start: start, worker: worker, of: round.workerCount)
        }
    }

    /// The end of an operation is the start of the next, so that the clock is read once for each.
    func run<J: Job & ~Copyable>(
        _ job: inout J,
        into result: inout Tally
    ) throws {
        var tally = Tally()
        var last = Clock.now
        while tally.operations < operations, last < deadline {
            if let pace { last = pace.wait(after: tally.operations) }
            let step = try job.step()
            guard step.operations > 0 else { break }
            let now = Clock.now
            tally.record(step, nanoseconds: now - last)
            last = now
            if let progress { note(tally, step, progress) }
        }
        tally.elapsed = last - start
        result = tally
    }

    private func note(_ tally: Tally, _ step: Step, _ progress: Progress) {
        guard tally.latencies.count % UInt64(Progress.stride) == 0 else { return }
        progress.note(Progress.stride * step.operations)
    }

    func runAsync<J: Job & ~Copyable>(_ job: inout J) async throws -> Tally {
        var tally = Tally()
        var last = Clock.now
        while tally.operations < operations, last < deadline {
            if let pace { last = try await pace.wait(after: tally.operations) }
            let step = try await job.stepAsync()
            guard step.operations > 0 else { break }
            let now = Clock.now
            tally.record(step, nanoseconds: now - last)
            last = now
            if let progress { note(tally, step, progress) }
        }
        tally.elapsed = last - start
        return tally
    }
}
