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

        /// Submits a job that notes the how manieth it is.
        func submit(to queue: JobQueue, isHelping: Bool) {
            submission.with {
                let number = count
                count += 1
                queue.submit(isHelping: isHelping) { [self] in
                    begin()
                    end(number)
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
            let isHelping = (task + round) % 3 == 0
            record.submit(to: queue, isHelping: isHelping)
            if isHelping { queue.help() }
            if round % 50 == 0 { await Task.yield() }
        }
    }

    @Test func theEndWaitsForWhoHelps() async throws {
        let queue = JobQueue(name: "test")
        let (begun, mayEnd, ended) = (Stop(), Stop(), Stop())
        // The thread of the queue waits by now, most likely; help does nothing before it does.
        let helper = Task.detached {
            while !begun.isSet {
                queue.submit(isHelping: true) {
                    begun.set()
                    while !mayEnd.isSet {}
                    ended.set()
                }
                queue.help()
            }
        }
        try await MemberCluster.wait("the job has begun") { begun.isSet }
        let closing = Task.detached {
            queue.end()
            return ended.isSet
        }
        try await Task.sleep(for: .milliseconds(20))
        mayEnd.set()
        #expect(await closing.value)
        await helper.value
    }
}
