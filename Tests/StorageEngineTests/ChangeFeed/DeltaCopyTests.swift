import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Stores that are brought up to date by files, without the log.
@Suite struct DeltaCopyTests {
    private let directory = TemporaryDirectory()
    private typealias State = [[UInt8]: [UInt8]]

    private func options(copies: Bool) -> Engine.Options {
        var options = Engine.Options.quiet
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.retainedLogSize = 0
        options.compaction.level0Count = 3
        options.compaction.levelBaseSize = 20_000
        options.compaction.segmentSize = 8_000
        options.isMember = copies
        options.createIfMissing = !copies
        return options
    }

    private func environment(_ disk: SimulatedFileSystem) -> Environment {
        let system = Environment.system()
        return Environment(
            fileSystem: disk,
            time: system.time,
            entropy: system.entropy,
            startsThreads: true
        )
    }

    private func open(_ name: String) throws(EngineError) -> Engine {
        try Engine.open(
            at: "\(directory.path)/\(name)",
            options: options(copies: name != "leader")
        )
    }

    private func state(_ engine: Engine) throws(EngineError) -> State {
        var state: State = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            let key = cursor.key.withUnsafeBufferPointer(Array.init)
            state[key] = cursor.value.withUnsafeBufferPointer(Array.init)
        }
        return state
    }

    /// Takes in what the leader's log has behind the end of a copy.
    private func follow(_ copy: Engine, _ leader: Engine) throws {
        try leader.wait(for: leader.history().end.sequence, .wal)
        let cursor = try #require(try leader.recordCursor(after: copy.history().end))
        while let records = try cursor.next(through: .max, sizeMax: 4_096) {
            try copy.apply(records)
        }
    }

    @Test(arguments: UInt64(0)..<4)
    func aStoreAndWhatHasChangedSinceMakeTheLeadersStore(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let leader = try open("leader")
        var copy: Engine?
        var counts = (combined: 0, whole: 0)
        for round in 0..<24 {
            try leader.writeRandomly(withNoOps: true, using: &generator)
            if round % 7 == 3 { try leader.compact() }
            let name = "copy-\(round)"
            let next: Engine
            if let old = copy {
                // Now and then the old one has something in memory and in its log.
                let start = try old.history().end.sequence
                do throws(EngineError) {
                    _ = try leader.copyChanges(
                        after: start,
                        to: "\(directory.path)/\(name)-changes"
                    )
                    _ = try old.combine(
                        with: "\(directory.path)/\(name)-changes",
                        at: "\(directory.path)/\(name)"
                    )
                    counts.combined += 1
                } catch {
                    #expect(error.code == .trimmed, "seed \(seed), round \(round): \(error)")
                    _ = try leader.copy(to: "\(directory.path)/\(name)")
                    counts.whole += 1
                }
                try old.close()
                next = try open(name)
            } else {
                _ = try leader.copy(to: "\(directory.path)/\(name)")
                next = try open(name)
            }
            #expect(try state(next) == state(leader), "seed \(seed), round \(round)")
            let (found, expected) = (try next.history(), try leader.history())
            #expect(found == expected, "seed \(seed), round \(round)")
            _ = try next.verify()
            if round % 2 == 0 {
                try leader.writeRandomly(withNoOps: true, using: &generator)
                try follow(next, leader)
                #expect(try state(next) == state(leader), "seed \(seed), round \(round)")
            }
            copy = next
        }
        #expect(counts.combined > 3, "seed \(seed)")
        try copy?.close()
        try leader.close()
    }

    /// A range that was deleted in between stands lower in the new store than it was written.
    @Test func aStoreMadeOfChangesGivesNoneThatBeginBeforeItsEnd() throws {
        let leader = try open("leader")
        for number in 0..<20 { try leader.put("v", for: "k\(number)", ack: .memory) }
        _ = try leader.copy(to: "\(directory.path)/copy")
        try leader.put("w", for: "other", ack: .memory)
        try leader.deleteRange(KeyRange(prefix: Array("k1".utf8)), ack: .memory)
        try leader.put("w", for: "last", ack: .memory)
        let copy = try open("copy")
        let start = try copy.history().end.sequence
        _ = try leader.copyChanges(after: start, to: "\(directory.path)/changes")
        _ = try copy.combine(
            with: "\(directory.path)/changes",
            at: "\(directory.path)/next"
        )
        let next = try open("next")
        #expect(try state(next) == state(leader))
        let end = try next.history().end.sequence
        for sequence in start..<end {
            let error = #expect(throws: EngineError.self) { _ = try next.delta(after: sequence) }
            #expect(error?.code == .trimmed, "after \(sequence)")
        }
        try leader.put("x", for: "later", ack: .memory)
        try follow(next, leader)
        var delta = try next.delta(after: end)
        #expect(try delta.next())
        #expect(try !delta.next())
        for engine in [copy, next, leader] { try engine.close() }
    }

    @Test func whatDoesNotBeginWhereTheStoreEndsIsRefused() throws {
        let leader = try open("leader")
        for number in 0..<50 { try leader.put("v", for: "k\(number)", ack: .memory) }
        _ = try leader.copy(to: "\(directory.path)/copy")
        for number in 0..<50 { try leader.put("w", for: "k\(number)", ack: .memory) }
        let copy = try open("copy")
        for start in [49, 51] as [UInt64] {
            let changes = "\(directory.path)/changes-\(start)"
            _ = try leader.copyChanges(after: start, to: changes)
            let error = #expect(throws: EngineError.self) {
                try copy.combine(with: changes, at: "\(directory.path)/next")
            }
            #expect(error?.code == .diverged)
        }
        let other = try Engine.open(at: "\(directory.path)/other", options: options(copies: false))
        for number in 0..<60 { try other.put("v", for: "k\(number)", ack: .memory) }
        _ = try other.copyChanges(after: 50, to: "\(directory.path)/foreign")
        let error = #expect(throws: EngineError.self) {
            try copy.combine(
                with: "\(directory.path)/foreign",
                at: "\(directory.path)/next"
            )
        }
        #expect(error?.code == .diverged)
        // Nothing was made, and the store goes on.
        try follow(copy, leader)
        #expect(try state(copy) == state(leader))
        for engine in [copy, leader, other] { try engine.close() }
    }

    @Test func manyChangesDoNotHoldUpWhoeverWritesNext() throws {
        let leader = try open("leader")
        try leader.put("v", for: "a", ack: .memory)
        _ = try leader.copy(to: "\(directory.path)/copy")
        var generator = SeededGenerator(seed: 21)
        for number in 0..<600 {
            let value = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try leader.put(value, for: "k\(number)", ack: .memory)
        }
        _ = try leader.copyChanges(after: 1, to: "\(directory.path)/changes")
        let copy = try open("copy")
        _ = try copy.combine(
            with: "\(directory.path)/changes",
            at: "\(directory.path)/next"
        )
        let segments = try names("changes").filter { $0.hasSuffix(".segment") }
        #expect(segments.count > 20, "of the store's own size")
        // Nothing compacts here: this is what the store begins with.
        let environment = Environment(
            fileSystem: PosixFileSystem(),
            time: SystemTime(),
            entropy: { 7 },
            startsThreads: false
        )
        let next = try Engine.open(
            at: "\(directory.path)/next",
            options: options(copies: true),
            environment: environment
        )
        let old = try #require(copy.metrics.levelSegments.first)
        #expect(next.metrics.levelSegments.first == old + 1)
        #expect(next.metrics.stallReason == nil)
        next.abandon()
        #expect(try state(leader) == state(open("next")))
        for engine in [copy, leader] { try engine.close() }
    }

    private func names(_ name: String) throws -> [String] {
        let place = try StoreDirectory.open(
            path: "\(directory.path)/\(name)",
            in: PosixFileSystem()
        )
        return try place.list().known.map(\.description)
    }

    @Test func aDeltaLeavesTheSpaceThatWritesNeed() throws {
        let disk = SimulatedFileSystem()
        var options = options(copies: false)
        options.lowSpaceLimit = 1 << 20
        let leader = try Engine.open(at: "leader", options: options, environment: environment(disk))
        try leader.put("v", for: "a", ack: .disk)
        var generator = SeededGenerator(seed: 8)
        for number in 0..<2_000 {
            let value = (0..<1_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try leader.put(value, for: "k\(number)", ack: .memory)
        }
        try leader.flush()
        // There is room for all of it, if writes are left with none.
        disk.capacity = disk.usedSpace + (2 << 20) + 1_500_000
        let error = #expect(throws: EngineError.self) {
            try leader.copyChanges(after: 1, to: "changes")
        }
        #expect(error?.code == .noSpace)
        let names = disk.names(inDirectory: ".", .cached) ?? disk.names(inDirectory: "", .cached)
        #expect(names?.contains { $0.contains("changes") } == false)
        #expect(leader.metrics.stallReason == nil)
        try leader.put("w", for: "a", ack: .disk)
        disk.capacity = .max
        _ = try leader.copyChanges(after: 1, to: "changes")
        try leader.close()
    }

    @Test(arguments: SimulatedProfile.allCases)
    func everyCrashLeavesTheOldStoreAndAWholeNewOneOrNone(profile: SimulatedProfile) throws {
        let disk = SimulatedFileSystem(profile: profile)
        func open(_ path: String, on disk: SimulatedFileSystem, copies: Bool) throws -> Engine {
            try Engine.open(
                at: path,
                options: options(copies: copies),
                environment: environment(disk)
            )
        }
        let leader = try open("leader", on: disk, copies: false)
        var generator = SeededGenerator(seed: 3)
        try leader.writeRandomly(withNoOps: true, using: &generator)
        _ = try leader.copy(to: "copy")
        let copy = try open("copy", on: disk, copies: true)
        let old = try state(copy)
        try leader.writeRandomly(withNoOps: true, using: &generator)
        let new = try state(leader)
        _ = try leader.copyChanges(after: copy.lastSequence, to: "changes")
        let start = disk.traceEnd
        _ = try copy.combine(with: "changes", at: "next")
        var counts = (whole: 0, none: 0)
        try CrashSweep(disk, from: start, seed: 3).forEach { crash in
            let (image, what) = (crash.image, crash.text)
            if image.names(inDirectory: "next", .cached) != nil {
                counts.whole += 1
                let next = try open("next", on: image, copies: true)
                #expect(try state(next) == new, "\(what)")
                _ = try next.verify()
                try next.close()
            } else {
                counts.none += 1
            }
            guard crash.position % 4 == 0 else { return }
            let again = try open("copy", on: image, copies: true)
            #expect(try state(again) == old, "\(what)")
            try again.close()
        }
        #expect(counts.whole > 0 && counts.none > 20)
        try copy.close()
        try leader.close()
    }
}
