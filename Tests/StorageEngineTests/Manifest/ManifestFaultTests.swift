import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What crashes and failing calls leave of a manifest.
@Suite struct ManifestFaultTests {
    /// How far a trace had come when a commit returned, and the state then.
    private struct Milestone {
        let position: Int
        let state: ManifestState
    }

    @Test(arguments: UInt64(0)..<3)
    func everyCrashLeavesTheLastCommitOrTheOneUnderWay(seed: UInt64) throws {
        let store = try ManifestStore()
        var milestones = [Milestone(position: 0, state: ManifestState())]
        var maker = EditMaker(seed: seed)
        maker.padding = 500
        let start = store.fileSystem.traceEnd
        for _ in 0..<2 {
            let writer = store.writer(from: try store.state(), fileSizeMin: 4096)
            for _ in 0..<16 {
                try writer.commit(maker.next())
                milestones.append(
                    Milestone(position: store.fileSystem.traceEnd, state: writer.state)
                )
            }
            try writer.close()
        }
        #expect(store.markFile.mark.manifest > 2)
        var generator = SeededGenerator(seed: seed)
        var history = store.fileSystem.history()
        var outcomes: Set<Bool> = []

        for position in start...history.end {
            history.advance(to: position)
            let returned = try #require(milestones.lastIndex { $0.position <= position })
            let allowed = milestones[returned...].prefix(2).map(\.state)
            for policy in Self.policies(history.pendingCount) {
                let image = history.crashed(policy, using: &generator)
                let found = try ManifestStore.state(image)

                #expect(allowed.contains(found), "position \(position), \(policy)")
                outcomes.insert(found == allowed[0])
            }
        }
        #expect(outcomes.count == 2)
    }

    private static func policies(_ pendingCount: Int) -> [CrashPolicy] {
        [.none, .all, .sizesOnly] + (1...max(1, pendingCount)).map { .prefix($0) }
            + [1, 30, 511, 600].map { .tornLast(bytes: $0) }
            + [0.3, 0.6, 0.9].map { .sectors(keep: $0) }
    }

    @Test(arguments: [false, true], [EIO, ENOSPC])
    func everyCallMayFailOnce(takesEffect: Bool, errno: Int32) throws {
        var failures = 0
        for call in 1... {
            let store = try ManifestStore()
            var fault = SimulatedFault(nil, errno: errno, occurrence: call)
            fault.takesEffect = takesEffect
            store.fileSystem.inject(fault)

            if try run(store, "call \(call)") { failures += 1 }

            guard store.fileSystem.injectedFaultCount > 0 else { break }
        }
        #expect(failures > 30)
    }

    /// Bytes that are only half written, and the error after them.
    @Test func everyWriteMayBeCutShort() throws {
        for write in 1... {
            let store = try ManifestStore()
            store.fileSystem.inject(
                SimulatedFault(.write, errno: EIO, bytesDone: 40, occurrence: write)
            )

            let hasFailed = try run(store, "write \(write)")

            guard store.fileSystem.injectedFaultCount > 0 else { return #expect(write > 15) }
            #expect(hasFailed)
        }
    }

    /// From some call on all fail; then the disk works again, or power is lost.
    @Test(arguments: [false, true])
    func allCallsMayFailForAWhile(takesEffect: Bool) throws {
        for call in 1..<150 {
            let store = try ManifestStore()
            var fault = SimulatedFault(nil, errno: EIO, occurrence: call, duration: .forever)
            fault.takesEffect = takesEffect
            store.fileSystem.inject(fault)

            try run(store, "call \(call)")
        }
    }

    /// Commits a few edits, and checks what is on the disk whenever one fails.
    @discardableResult
    private func run(_ store: ManifestStore, _ what: String) throws -> Bool {
        var maker = EditMaker(seed: 4)
        maker.padding = 500
        let writer = store.writer(fileSizeMin: 4096)
        var allowed = [writer.state]
        var hasFailed = false
        for step in 0..<14 {
            let before = maker.model
            let edit = maker.next()
            var wanted = writer.state
            try wanted.apply(edit)
            do throws(EngineError) {
                try writer.commit(edit)
                allowed = [wanted]
            } catch {
                hasFailed = true
                allowed.append(wanted)
                maker.restore(before)
                #expect(error.errno != nil)
            }
            #expect(writer.state == allowed[0], "\(what), step \(step)")
            try check(store.fileSystem, allowed, "\(what), step \(step)")
            // Long enough for several steps of a persistent fault.
            if hasFailed, step % 4 == 3 { store.fileSystem.removeFaults() }
        }
        if allowed.count > 1 {
            store.fileSystem.removeFaults()
            try writer.commit(maker.next())
        }
        do throws(EngineError) { try writer.close() } catch { hasFailed = true }
        store.fileSystem.removeFaults()
        #expect(try store.state() == writer.state, "\(what), closed")
        try check(store.fileSystem, [writer.state], "\(what), closed")

        let reopened = try ManifestStore(store.fileSystem.crashed(.none))
        let next = reopened.writer(from: try reopened.state())
        try next.commit(maker.next())
        #expect(try reopened.state() == next.state, "\(what), reopened")
        #expect(try reopened.manifestNumbers() == [reopened.markFile.mark.manifest])
        return hasFailed
    }

    private func check(
        _ fileSystem: SimulatedFileSystem,
        _ allowed: [ManifestState],
        _ what: String
    ) throws {
        for policy in [CrashPolicy.none, .all, .sizesOnly] {
            let found = try ManifestStore.state(fileSystem.crashed(policy))
            #expect(allowed.contains(found), "\(what), \(policy)")
        }
    }
}
