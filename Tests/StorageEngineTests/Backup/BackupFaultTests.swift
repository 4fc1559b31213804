import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What crashes and failing calls leave of a directory of backups.
@Suite struct BackupFaultTests {
    /// Restores every backup of a directory and compares it with what it should hold.
    private func check(
        _ fileSystem: SimulatedFileSystem,
        _ models: [UInt64: [String: String]],
        atLeast least: Int,
        _ what: String
    ) throws {
        let environment = BackupFixture.environment(fileSystem)
        let backups = BackupDirectory(path: "backups", environment: environment)
        let numbers = try backups.list().map(\.number)
        #expect(numbers.count >= least, "\(what)")
        #expect(try backups.verify().damages.isEmpty, "\(what)")
        for number in numbers {
            try backups.restore(to: "check\(number)", backup: number)
            let found = try BackupFixture.verifiedContents(of: "check\(number)", on: fileSystem)
            #expect(found == models[number], "\(what), backup \(number)")
        }
    }

    /// Two backups, and then one more that is kept with the one before it.
    private func prepare(
        _ fileSystem: SimulatedFileSystem
    ) throws -> (fixture: BackupFixture, models: [UInt64: [String: String]]) {
        let fixture = try BackupFixture(fileSystem, rounds: 40)
        var models: [UInt64: [String: String]] = [:]
        for number in 1...3 as ClosedRange<UInt64> {
            if number > 1 { try fixture.write(10) }
            models[number] = fixture.model
            if number < 3 { _ = try fixture.backUp() }
        }
        return (fixture, models)
    }

    @Test(arguments: SimulatedProfile.allCases)
    func everyCrashLeavesWholeBackups(profile: SimulatedProfile) throws {
        let (fixture, models) = try prepare(SimulatedFileSystem(profile: profile))
        let start = fixture.fileSystem.traceEnd
        _ = try fixture.backUp(keeping: 2)
        try CrashSweep(fixture.fileSystem, from: start, seed: 5).forEach { crash in
            try check(crash.image, models, atLeast: 2, crash.text)
            guard crash.position % 3 == 0 else { return }

            // Whatever is left, the next backup comes through and leaves nothing useless.
            let next = crash.image
            let engine = try BackupFixture.open("db", BackupFixture.environment(next))
            let report = try engine.backup(to: "backups", keeping: 1)
            let names = next.names(inDirectory: "backups", .cached) ?? []
            // The lock, the list and its files.
            #expect(names.count == 2 + report.backup.segments + report.backup.logFiles)
        }
        let last = fixture.fileSystem.crashed(.none)
        try check(last, models, atLeast: 2, "the end")
        let backups = BackupDirectory(path: "backups", environment: fixture.environment)
        #expect(try backups.list().map(\.number) == [2, 3])
    }

    @Test(arguments: [EIO, ENOSPC], [false, true])
    func everyCallMayFail(errno: Int32, takesEffect: Bool) throws {
        let plain = try prepare(SimulatedFileSystem()).fixture
        let calls = plain.fileSystem.callCount
        _ = try plain.backUp(keeping: 2)
        let count = plain.fileSystem.callCount - calls
        var failures = 0
        for call in stride(from: takesEffect ? 1 : 3, through: count, by: 6) {
            let (fixture, models) = try prepare(SimulatedFileSystem())
            var fault = SimulatedFault(
                nil,
                errno: errno,
                occurrence: call,
                duration: call % 3 == 0 ? .forever : .once
            )
            fault.takesEffect = takesEffect
            fixture.fileSystem.inject(fault)

            let found = code { _ = try fixture.backUp(keeping: 2) }
            if found != nil { failures += 1 }

            fixture.fileSystem.removeFaults()
            let what = "call \(call), errno \(errno), \(takesEffect)"
            for policy in [CrashPolicy.none, .all] {
                try check(fixture.fileSystem.crashed(policy), models, atLeast: 2, what)
            }
            let report = try fixture.backUp(keeping: 1)
            let info = report.backup
            let names = fixture.names("backups")
            #expect(names.count == 2 + info.segments + info.logFiles, "\(what): \(names)")
        }
        #expect(failures > count / 24)
    }

    @Test(arguments: [EIO, ENOSPC])
    func everyCallOfARestoreMayFail(errno: Int32) throws {
        let fixture = try BackupFixture(rounds: 40)
        _ = try fixture.backUp()
        let calls = fixture.fileSystem.callCount
        try fixture.backups.restore(to: "plain")
        let count = fixture.fileSystem.callCount - calls
        let files = fixture.names("backups")
        for call in 1...count {
            let isPersistent = call % 3 == 0
            let path = "restored\(call)"
            fixture.fileSystem.inject(
                SimulatedFault(
                    nil,
                    errno: errno,
                    occurrence: call,
                    duration: isPersistent ? .forever : .once
                )
            )

            let isRefused = code { try fixture.backups.restore(to: path) } != nil

            fixture.fileSystem.removeFaults()
            let isThere = BackupFixture.has(path, fixture.fileSystem)
            #expect(isRefused || isThere, "call \(call)")
            if !isThere { try fixture.backups.restore(to: path) }
            let found = try BackupFixture.verifiedContents(of: path, on: fixture.fileSystem)
            #expect(found == fixture.model, "call \(call)")
        }
        #expect(fixture.names("backups") == files)
    }

    @Test func everyCrashOfARestoreLeavesAStoreOrNone() throws {
        let fixture = try BackupFixture(rounds: 40)
        _ = try fixture.backUp()
        let start = fixture.fileSystem.traceEnd
        try fixture.backups.restore(to: "restored")
        var history = fixture.fileSystem.history()
        var generator = SeededGenerator(seed: 6)
        var wholeCount = 0
        for position in start...history.end {
            history.advance(to: position)
            for policy in [CrashPolicy.none, .all, .sizesOnly, .sectors(keep: 0.5)] {
                let image = history.crashed(policy, using: &generator)
                guard BackupFixture.has("restored", image) else { continue }
                wholeCount += 1
                let found = try BackupFixture.verifiedContents(of: "restored", on: image)
                #expect(found == fixture.model, "position \(position), \(policy)")
            }
        }
        #expect(wholeCount > 0)
        #expect(BackupFixture.has("restored", fixture.fileSystem.crashed(.none)))
    }
}
