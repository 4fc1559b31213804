import Glibc
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Each job is done once, in order, and never two at once, whoever does them.
@Suite(.timeLimit(.minutes(2))) struct JobQueueTests {
    /// What jobs did.
    ///
    /// Thread safety: every method may be called from any thread.
    private final class Record: @unchecked Sendable {
        private let submission = Lock()
        private var count = 0
        private let lock = Lock()
        private var numbers: [Int] = []
        private var isBusy = false
        private var overlapCount = 0

        var done: [Int] { lock.with { numbers } }

        var overlaps: Int { lock.with { overlapCount } }

        /// Adds a job that notes the how manieth it is; some are left by who must not wait.
        func add(to queue: JobQueue) {
            submission.with {
                let number = count
                count += 1
                queue.add { [self] mayWait in
                    guard mayWait || number % 5 > 0 else { return false }
                    begin()
                    end(number)
                    return true
                }
            }
        }

        private func begin() {
            lock.with {
                if isBusy { overlapCount += 1 }
                isBusy = true
            }
        }

        private func end(_ number: Int) {
            lock.with {
                isBusy = false
                numbers.append(number)
            }
        }
    }

    @Test func jobsOfHelpersAndOfTheThreadAreDoneInOrderAndOneAtATime() async throws {
        let queue = JobQueue(name: "test")
        let record = Record()
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask { await Self.submit(to: queue, record, task) }
            }
        }
        try await MemberCluster.wait("all jobs are done") { record.done.count == 8_000 }
        queue.end()
        #expect(record.done == Array(0..<8_000))
        #expect(record.overlaps == 0)
    }

    private static func submit(to queue: JobQueue, _ record: Record, _ task: Int) async {
        for round in 0..<2_000 {
            record.add(to: queue)
            if (task + round) % 3 == 0 { queue.help() } else { queue.wake() }
            if round % 50 == 0 { await Task.yield() }
        }
    }

    /// Notes the thread that does a job.
    ///
    /// Thread safety: every method may be called from any thread.
    private final class Doer: @unchecked Sendable {
        private let lock = Lock()
        private var found: pthread_t?

        var thread: pthread_t? { lock.with { found } }

        func note() { lock.with { found = pthread_self() } }
    }

    /// Runs something on a thread of its own, once the queue's own thread waits: before, help does
    /// nothing. Returns that thread.
    private func onHelper(
        of queue: JobQueue,
        _ body: @escaping @Sendable () -> Void
    ) -> pthread_t? {
        let helper = Doer()
        let thread = WorkerThread(name: "helper") {
            helper.note()
            let probe = Doer()
            while probe.thread != helper.thread {
                usleep(1_000)
                queue.add { _ in
                    probe.note()
                    return true
                }
                queue.help()
            }
            body()
        }
        thread.join()
        return helper.thread
    }

    @Test func whatIsAddedWhileSomebodyHelpsIsLeftToWhoeverAddedIt() {
        let queue = JobQueue(name: "test")
        let (first, second) = (Doer(), Doer())
        let helper = onHelper(of: queue) {
            queue.add { _ in
                first.note()
                queue.add { _ in
                    second.note()
                    return true
                }
                return true
            }
            queue.help()
            usleep(20_000)
            queue.help()
        }
        #expect(first.thread == helper)
        #expect(second.thread == helper, "the queue's own thread was woken for it")
        queue.end()
    }

    @Test(arguments: [false, true])
    func whatIsWantedWhileSomebodyHelpsIsDoneByTheQueuesOwnThread(byHelp: Bool) async throws {
        let queue = JobQueue(name: "test")
        let done = Doer()
        let helper = onHelper(of: queue) {
            queue.add { _ in
                queue.add { _ in
                    done.note()
                    return true
                }
                if byHelp { queue.help() } else { queue.wake() }
                return true
            }
            queue.help()
        }
        try await MemberCluster.wait("the job is done") { done.thread != nil }
        #expect(done.thread != helper)
        queue.end()
    }

    @Test func theEndWaitsForWhoHelps() async throws {
        let queue = JobQueue(name: "test")
        let (begun, mayEnd, ended, closed) = (Stop(), Stop(), Stop(), Stop())
        // Help does nothing before the queue's own thread waits, which then does the job itself.
        try await Task.sleep(for: .milliseconds(20))
        let helper = WorkerThread(name: "helper") {
            queue.add { _ in
                begun.set()
                while !mayEnd.isSet { usleep(1_000) }
                ended.set()
                return true
            }
            queue.help()
        }
        try await MemberCluster.wait("the job has begun") { begun.isSet }
        let closing = WorkerThread(name: "closing") {
            queue.end()
            if ended.isSet { closed.set() }
        }
        try await Task.sleep(for: .milliseconds(20))
        mayEnd.set()
        helper.join()
        closing.join()
        #expect(closed.isSet, "the end came before the job's")
    }
}
