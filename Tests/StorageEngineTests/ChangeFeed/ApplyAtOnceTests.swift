import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A follower takes records in at once, or leaves them as they are when it would have to wait.
@Suite struct ApplyAtOnceTests {
    private let source: Engine
    private let leader: EngineStepper
    private let fileSystem = SimulatedFileSystem()
    private let copy: Engine
    private let follower: EngineStepper
    /// What the leader has, a record each.
    private let first, second: ChangeBatch

    init() throws {
        source = try openSimulated(SimulatedFileSystem())
        leader = EngineStepper(source)
        let history = source.historyID
        copy = try openSimulated(fileSystem) { $0.follows = history }
        follower = EngineStepper(copy)
        var cursor = try source.changeCursor(after: .start, upTo: .wal)
        _ = try leader.put("1", for: "a", ack: .wal)
        first = try #require(try cursor.nextBatch())
        _ = try leader.put("2", for: "b", ack: .wal)
        second = try #require(try cursor.nextBatch())
    }

    private func apply(_ batch: ChangeBatch) throws {
        for write in try follower.submit(batch, ack: .wal).writes {
            #expect(try follower.complete(write).code == nil)
        }
    }

    private func expect(_ values: [String: String], at place: ChangeBatch) throws {
        #expect(try contents(copy) == values)
        #expect(try copy.history().end == place.position)
        #expect(follower.feedLimit(.wal) == place.position.sequence)
    }

    @Test func whatIsTakenInAtOnceIsInTheLog() throws {
        try apply(first)
        #expect(try follower.applyAtOnce(second))
        try expect(["a": "1", "b": "2"], at: second)
        #expect(try follower.applyAtOnce(second), "what is here is passed over")
        try expect(["a": "1", "b": "2"], at: second)

        let reopened = try openSimulated(fileSystem.crashed(.none)) {
            $0.follows = source.historyID
        }
        #expect(try reopened.history().end.sequence == 0, "nobody has synced")
        let killed = try openSimulated(fileSystem.crashed(.all)) {
            $0.follows = source.historyID
        }
        #expect(try killed.history().end == second.position)
    }

    @Test func anEpochThatBeginsIsLeft() throws {
        let start = try copy.history().end
        #expect(try !follower.applyAtOnce(first))
        #expect(try copy.history().end == start)
        try apply(first)
        try expect(["a": "1"], at: first)
    }

    /// The first record after an opening goes into a log file that is made for it.
    @Test func aLogFileThatHasToBeMadeIsLeft() throws {
        try apply(first)
        let reopened = try openSimulated(fileSystem.crashed(.all)) {
            $0.follows = source.historyID
        }
        let stepper = EngineStepper(reopened)
        #expect(try !stepper.applyAtOnce(second))
        for write in try stepper.submit(second, ack: .wal).writes {
            #expect(try stepper.complete(write).code == nil)
        }
        let third = try next()
        #expect(try stepper.applyAtOnce(third))
        #expect(try reopened.history().end == third.position)
    }

    @Test func whoHoldsARoleIsNotWaitedFor() throws {
        try apply(first)
        let writes = try follower.submit(second, ack: .wal).writes
        #expect(try !follower.applyAtOnce(second), "it waits to be committed")
        let commit = try #require(follower.take(.writer))
        #expect(try !follower.applyAtOnce(second), "it is being committed")
        follower.perform(commit)
        #expect(try !follower.applyAtOnce(second), "it is not over")
        follower.finish(commit)
        #expect(writes.allSatisfy { follower.outcome(of: $0) != nil })
        #expect(try follower.applyAtOnce(second))
        try expect(["a": "1", "b": "2"], at: second)
    }

    @Test func aSyncThatIsUnderWayIsInNobodysWay() throws {
        try apply(first)
        copy.pipeline?.requestSync()
        let sync = try #require(follower.take(.logThread))
        #expect(try follower.applyAtOnce(second))
        follower.perform(sync)
        follower.finish(sync)
        #expect(follower.feedLimit(.disk) == first.position.sequence, "it began before")
        try expect(["a": "1", "b": "2"], at: second)
    }

    @Test func writersThatAreHeldAreNotPassed() throws {
        try apply(first)
        let pipeline = try #require(copy.pipeline)
        pipeline.apply(Backpressure(load: 1, reason: .level0), failure: nil)
        #expect(try !follower.applyAtOnce(second))
        try expect(["a": "1"], at: first)
        pipeline.apply(Backpressure(), failure: nil)
        #expect(try follower.applyAtOnce(second))
    }

    @Test func aRefusedAppendLeavesNoTraceAndNoRole() throws {
        try apply(first)
        fileSystem.inject(SimulatedFault(.write, errno: ENOSPC))
        #expect(code { _ = try follower.applyAtOnce(second) } == .noSpace)
        try expect(["a": "1"], at: first)
        try apply(second)
        try expect(["a": "1", "b": "2"], at: second)
    }

    /// The member opens its store again then.
    @Test func aFailedAppendIsIndeterminateAndLeavesNoRole() throws {
        try apply(first)
        fileSystem.inject(SimulatedFault(.write, errno: nil, bytesDone: 11))
        fileSystem.inject(SimulatedFault(.write, errno: EIO, occurrence: 2))
        #expect(code { _ = try follower.applyAtOnce(second) } == .indeterminate)
        #expect(try contents(copy) == ["a": "1"])
        #expect(follower.isIdle)
    }

    @Test func whatDoesNotFollowIsRefusedAndNoRoleIsKept() throws {
        let third = try next()
        try apply(first)
        #expect(code { _ = try follower.applyAtOnce(third) } == .gap)
        #expect(try follower.applyAtOnce(second))
        #expect(try follower.applyAtOnce(third))
        try expect(["a": "1", "b": "2", "c": "3"], at: third)
    }

    private func next() throws -> ChangeBatch {
        _ = try leader.put("3", for: "c", ack: .wal)
        var cursor = try source.changeCursor(after: second.position, upTo: .wal)
        return try #require(try cursor.nextBatch())
    }
}
