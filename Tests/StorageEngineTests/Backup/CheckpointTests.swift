import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Checkpoints on a simulated disk.
@Suite struct CheckpointTests {
    @Test func aCheckpointIsAStoreOfItsOwn() throws {
        let fixture = try BackupFixture()
        try fixture.putInMemory("late", for: "late")

        let report = try fixture.engine.checkpoint(at: "copy")

        #expect(report.linkedSegments > 3 && report.copiedSegments == 0 && report.logFiles > 0)
        #expect(report.lastSequence == fixture.engine.lastSequence)
        let copy = try BackupFixture.open("copy", fixture.environment)
        #expect(try contents(copy) == fixture.model)
        #expect(copy.historyID == fixture.engine.historyID)
        #expect(copy.memberID == report.memberID && copy.memberID != fixture.engine.memberID)
        #expect(copy.lastSequence == report.lastSequence)
        _ = try copy.verify()
    }

    @Test func neitherStoreDisturbsTheOther() throws {
        let fixture = try BackupFixture()
        let (model, last) = (fixture.model, fixture.engine.lastSequence)
        try fixture.engine.checkpoint(at: "copy")

        try fixture.write(200)
        let copy = try BackupFixture.open("copy", fixture.environment)
        #expect(try contents(copy) == model)
        let stepper = EngineStepper(copy)
        for index in 0..<200 {
            let value = String(repeating: "y", count: 400)
            #expect(try stepper.put(value, for: "other\(index)", ack: .wal).code == nil)
        }
        let epochs = try #require(copy.pipeline).epochs
        try copy.close()

        #expect(epochs.last?.lastSequenceBefore == last)
        #expect(epochs.count == (try #require(fixture.engine.pipeline).epochs.count) + 1)
        #expect(try contents(fixture.engine) == fixture.model)
        _ = try fixture.engine.verify()
        #expect(
            try BackupFixture.verifiedContents(of: "copy", on: fixture.fileSystem).count
                == model.count + 200
        )
    }

    @Test func elsewhereSegmentsAreCopied() throws {
        let fixture = try BackupFixture()
        for errno in [EXDEV, EPERM, EMLINK, EOPNOTSUPP] {
            fixture.fileSystem.inject(SimulatedFault(.link, errno: errno, duration: .forever))
            let path = "copy\(errno)"

            let report = try fixture.engine.checkpoint(at: path)

            fixture.fileSystem.removeFaults()
            #expect(report.linkedSegments == 0 && report.copiedSegments > 3)
            #expect(
                try BackupFixture.verifiedContents(of: path, on: fixture.fileSystem)
                    == fixture.model
            )
        }
    }

    @Test func whatIsWrittenMeanwhileIsLeftOut() throws {
        let fixture = try BackupFixture()
        let model = fixture.model
        let before = fixture.names("db", ending: ".segment")
        var failure: (any Error)?

        try fixture.engine.withImage { image, environment throws(EngineError) in
            do { try fixture.write(150) } catch { failure = error }
            let memberID = environment.uniqueID()
            _ = try Checkpoint(image: image, memberID: memberID).make(at: "copy")
        }

        #expect(failure == nil)
        // Compactions gave some up, and they were kept all the same.
        #expect(Set(before).isSubset(of: fixture.names("db", ending: ".segment")))
        #expect(try BackupFixture.verifiedContents(of: "copy", on: fixture.fileSystem) == model)
        try fixture.write(10)
        #expect(!Set(before).isSubset(of: fixture.names("db", ending: ".segment")))
        #expect(try contents(fixture.engine) == fixture.model)
    }

    @Test(arguments: [0, 1, 20])
    func smallStoresHaveCheckpointsToo(rounds: Int) throws {
        let fixture = try BackupFixture(rounds: rounds)
        try fixture.engine.checkpoint(at: "first")
        try fixture.reopen()
        // Nothing was written since the store was opened.
        try fixture.engine.checkpoint(at: "second")
        try fixture.write(1)
        try fixture.engine.checkpoint(at: "third")

        let fileSystem = fixture.fileSystem
        let found = try ["first", "second", "third"].map {
            try BackupFixture.verifiedContents(of: $0, on: fileSystem)
        }
        #expect(found[0] == found[1] && found[0] != found[2])
        #expect(found[2] == fixture.model)
    }

    // MARK: - Refusals

    @Test func whatIsInTheWayIsLeftAlone() throws {
        let fixture = try BackupFixture(rounds: 3)
        let fileSystem = fixture.fileSystem
        for name in ["full", "empty"] { try fileSystem.makeDirectory(path: name) }
        let root = try fileSystem.openDirectory(path: "/")
        let full = try fileSystem.openDirectory(path: "full")
        try fileSystem.close(try fileSystem.open("notes", in: full, .create))
        try fileSystem.close(try fileSystem.open("file", in: root, .create))

        for path in ["full", "db", "file", "", "/", ".", "..", "a/.."] {
            #expect(code { try fixture.engine.checkpoint(at: path) } == .invalidArgument, "\(path)")
        }
        #expect(code { try fixture.engine.checkpoint(at: "none/copy") } == .io)
        #expect(fileSystem.names(inDirectory: "full", .cached) == ["notes"])
        try fixture.engine.checkpoint(at: "empty/")
        #expect(try BackupFixture.verifiedContents(of: "empty", on: fileSystem) == fixture.model)
        #expect(
            fileSystem.names(inDirectory: "/", .cached) == ["db", "empty", "file", "full"]
        )
    }

    @Test func aStrangeLeftoverIsNotRemoved() throws {
        let fixture = try BackupFixture(rounds: 3)
        try fixture.fileSystem.makeDirectory(path: ".copy.unfinished")
        let directory = try fixture.fileSystem.openDirectory(path: ".copy.unfinished")
        let file = try fixture.fileSystem.open("notes", in: directory, .create)
        try fixture.fileSystem.close(file)

        #expect(code { try fixture.engine.checkpoint(at: "copy") } == .invalidArgument)
        #expect(fixture.names(".copy.unfinished").contains("notes"))
    }

    @Test func aCheckpointThatIsBeingMadeExcludesAnother() throws {
        let fixture = try BackupFixture(rounds: 3)
        let staged = try StagedDirectory(path: "copy", in: fixture.fileSystem)

        #expect(code { try fixture.engine.checkpoint(at: "copy") } == .locked)
        staged.discard()

        #expect(fixture.names("/") == ["db"])
    }

    @Test func onlyAnOpenEngineThatWritesHasCheckpoints() throws {
        let fixture = try BackupFixture(rounds: 3)
        try fixture.engine.close()
        #expect(code { try fixture.engine.checkpoint(at: "copy") } == .closed)

        var options = Engine.Options()
        options.readOnly = true
        let reader = try Engine.open(
            at: "db",
            options: options,
            environment: fixture.environment
        )
        #expect(code { try reader.checkpoint(at: "copy") } == .readOnly)
        #expect(!BackupFixture.has("copy", fixture.fileSystem))
    }

    @Test func damageIsToldAndNotCopied() throws {
        let fixture = try BackupFixture()
        let log = try #require(fixture.names("db", ending: ".log").first { $0 > "0000000001" })
        try fixture.fileSystem.change(log, at: 5000) { $0 ^ 1 }

        do throws(EngineError) {
            try fixture.engine.checkpoint(at: "copy")
            Issue.record("the damage is not noticed")
        } catch {
            #expect(error.code == .corruption && error.file == log && error.offset != nil)
        }
        try fixture.fileSystem.change(log, at: 5000) { $0 ^ 1 }
        // A copied segment is checked, a linked one is the same file.
        let segment = try #require(fixture.names("db", ending: ".segment").first)
        try fixture.fileSystem.change(segment, at: 100) { $0 ^ 1 }
        fixture.fileSystem.inject(SimulatedFault(.link, errno: EXDEV, duration: .forever))
        do throws(EngineError) {
            try fixture.engine.checkpoint(at: "copy")
            Issue.record("the damage is not noticed")
        } catch {
            #expect(error.code == .corruption && error.file == segment)
        }
        #expect(fixture.names("/") == ["db"])
    }

    // MARK: - Crashes and faults

    @Test(arguments: [SimulatedProfile.strict, .ext4], [false, true])
    func everyCrashLeavesACheckpointOrNone(profile: SimulatedProfile, copies: Bool) throws {
        let fixture = try BackupFixture(SimulatedFileSystem(profile: profile), rounds: 40)
        if copies {
            fixture.fileSystem.inject(SimulatedFault(.link, errno: EXDEV, duration: .forever))
        }
        let start = fixture.fileSystem.traceEnd
        try fixture.engine.checkpoint(at: "copy")
        var history = fixture.fileSystem.history()
        var generator = SeededGenerator(seed: 5)
        var counts = (whole: 0, none: 0)
        for position in start...history.end {
            history.advance(to: position)
            let count = history.pendingCount
            let policies: [CrashPolicy] = [
                .none, .all, .sizesOnly, .prefix(max(1, count / 2)), .prefix(max(1, count - 1)),
                .sectors(keep: 0.5),
            ]
            for policy in policies {
                let image = history.crashed(policy, using: &generator)
                guard BackupFixture.has("copy", image) else {
                    counts.none += 1
                    continue
                }
                counts.whole += 1
                let found = try BackupFixture.verifiedContents(of: "copy", on: image)
                #expect(found == fixture.model, "position \(position), \(policy)")
            }
            // Whatever is left, the next one comes through.
            guard position % 8 == 0 else { continue }
            let image = history.crashed(.sectors(keep: 0.5), using: &generator)
            guard !BackupFixture.has("copy", image) else { continue }
            let engine = try BackupFixture.open("db", BackupFixture.environment(image))
            try engine.checkpoint(at: "copy")
            try engine.close()
            #expect(try BackupFixture.verifiedContents(of: "copy", on: image) == fixture.model)
        }
        #expect(counts.whole > 0 && counts.none > 20)
        #expect(BackupFixture.has("copy", fixture.fileSystem.crashed(.none)))
    }

    @Test(arguments: [EIO, ENOSPC], [false, true])
    func everyCallMayFail(errno: Int32, takesEffect: Bool) throws {
        let plain = try BackupFixture(rounds: 40)
        let calls = plain.fileSystem.callCount
        try plain.engine.checkpoint(at: "copy")
        let count = plain.fileSystem.callCount - calls
        var failures = 0
        for call in stride(from: takesEffect ? 1 : 2, through: count, by: 3) {
            for isPersistent in [false, true] where !isPersistent || call % 4 == 0 {
                let fixture = try BackupFixture(rounds: 40)
                var fault = SimulatedFault(
                    nil,
                    errno: errno,
                    occurrence: call,
                    duration: isPersistent ? .forever : .once
                )
                fault.takesEffect = takesEffect
                fixture.fileSystem.inject(fault)

                let isRefused = code { try fixture.engine.checkpoint(at: "copy") } != nil

                fixture.fileSystem.removeFaults()
                failures += isRefused ? 1 : 0
                let what = "call \(call), errno \(errno), \(takesEffect), \(isPersistent)"
                let isThere = BackupFixture.has("copy", fixture.fileSystem)
                #expect(isRefused || isThere, "\(what)")
                if !isThere { try fixture.engine.checkpoint(at: "copy") }
                let found = try BackupFixture.verifiedContents(of: "copy", on: fixture.fileSystem)
                #expect(found == fixture.model, "\(what)")
                #expect(try contents(fixture.engine) == fixture.model, "\(what)")
            }
        }
        #expect(failures > count / 6)
    }
}
