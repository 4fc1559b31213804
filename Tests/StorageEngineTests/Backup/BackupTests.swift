import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Directories of backups on a simulated disk.
@Suite struct BackupTests {
    /// What a backup holds, restored and verified.
    private func restored(
        _ number: UInt64? = nil,
        on fileSystem: SimulatedFileSystem
    ) throws -> [String: String] {
        let environment = BackupFixture.environment(fileSystem)
        let backups = BackupDirectory(path: "backups", environment: environment)
        let path = "restored\(number ?? 0)"
        try backups.restore(to: path, backup: number)
        return try BackupFixture.verifiedContents(of: path, on: fileSystem)
    }

    /// The bytes of all files of the directory.
    private func size(_ fixture: BackupFixture) -> UInt64 {
        fixture.names("backups").reduce(0) { sum, name in
            name.hasSuffix(".backup")
                ? sum : sum + (fixture.fileSystem.size(ofFile: "backups/\(name)", .cached) ?? 0)
        }
    }

    @Test func aRestoredStoreIsWhatWasBackedUp() throws {
        let fixture = try BackupFixture()
        try fixture.putInMemory("late", for: "late")
        let (model, last) = (fixture.model, fixture.engine.lastSequence)

        let report = try fixture.backUp()
        try fixture.write(30)
        let info = try fixture.backups.restore(to: "restored")

        #expect(info == report.backup)
        #expect(info.number == 1 && info.position.sequence == last && info.segments > 3)
        let store = try BackupFixture.open("restored", fixture.environment)
        #expect(try contents(store) == model)
        #expect(store.historyID == fixture.engine.historyID)
        #expect(store.memberID != fixture.engine.memberID)
        _ = try store.verify()
        let before = try #require(store.pipeline).epochs
        let stepper = EngineStepper(store)
        #expect(try stepper.put("new", for: "new", ack: .disk).code == nil)
        let epochs = try #require(store.pipeline).epochs
        #expect(epochs.count == before.count + 1)
        #expect(epochs.last?.lastSequenceBefore == last)
        #expect(epochs.last?.logHashBefore == info.position.logHash)
    }

    @Test func backupsShareTheirFiles() throws {
        let fixture = try BackupFixture()
        let first = try fixture.backUp()
        let firstSize = size(fixture)
        #expect(first.sharedFiles == 0 && first.copiedBytes == firstSize)
        #expect(first.copiedBytes == first.backup.bytes)

        // Nothing was written: every file is there.
        let second = try fixture.backUp()
        #expect(second.copiedFiles == 0 && second.sharedBytes == first.copiedBytes)
        #expect(size(fixture) == firstSize)

        try fixture.write(8)
        let third = try fixture.backUp()

        #expect(third.sharedFiles > 2 && third.copiedFiles > 0)
        #expect(third.sharedBytes + third.copiedBytes == third.backup.bytes)
        #expect(size(fixture) == firstSize + third.copiedBytes)
        #expect(try fixture.backups.list().map(\.number) == [1, 2, 3])
        #expect(try restored(3, on: fixture.fileSystem) == fixture.model)
    }

    @Test func oldBackupsGoAndTakeNothingThatOthersHave() throws {
        let fixture = try BackupFixture()
        var models: [UInt64: [String: String]] = [:]
        for _ in 0..<4 {
            let report = try fixture.backUp()
            models[report.backup.number] = fixture.model
            try fixture.write(15)
        }
        let sizeBefore = size(fixture)

        #expect(try fixture.backups.prune(keeping: 2) == 2)

        #expect(try fixture.backups.list().map(\.number) == [3, 4])
        #expect(size(fixture) < sizeBefore)
        #expect(size(fixture) == (try fixture.backups.verify()).bytes)
        for number in [3, 4] as [UInt64] {
            #expect(try restored(number, on: fixture.fileSystem) == models[number])
        }
        let report = try fixture.backUp(keeping: 1)
        #expect(report.removedBackups == 2 && report.backup.number == 5)
        #expect(try fixture.backups.list().map(\.number) == [5])
        #expect(size(fixture) == report.backup.bytes)
        #expect(try restored(on: fixture.fileSystem) == fixture.model)
        #expect(code { try fixture.backups.prune(keeping: 0) } == .invalidArgument)
        #expect(code { _ = try fixture.backUp(keeping: 0) } == .invalidArgument)
    }

    /// A restored store gives the numbers of segments out again that the original used.
    @Test func otherFilesOfTheSameNumbersAreOtherFiles() throws {
        let fixture = try BackupFixture()
        _ = try fixture.backUp()
        try fixture.backups.restore(to: "restored")
        let store = try BackupFixture.open("restored", fixture.environment)
        let stepper = EngineStepper(store)
        var models: [UInt64: [String: String]] = [:]
        for round in 0..<6 {
            try fixture.write(12)
            models[try fixture.backUp().backup.number] = fixture.model
            for index in 0..<12 {
                let value = (0..<80).map { "\(round * index + $0)" }.joined()
                #expect(try stepper.put(value, for: "key\(index)", ack: .disk).code == nil)
            }
            for _ in 0..<20 { stepper.work() }
            models[try store.backup(to: "backups").backup.number] = try contents(store)
        }

        let numbers = fixture.names("backups", ending: ".segment").map { $0.prefix(10) }
        #expect(Set(numbers).count < numbers.count)
        #expect(models.count == 12)
        for (number, model) in models {
            #expect(try restored(number, on: fixture.fileSystem) == model)
        }
    }

    @Test func whatIsWrittenMeanwhileIsLeftOut() throws {
        let fixture = try BackupFixture()
        let model = fixture.model
        var failure: (any Error)?
        try fixture.engine.withImage { image, environment throws(EngineError) in
            do { try fixture.write(100) } catch { failure = error }
            _ = try BackupDirectory(path: "backups", environment: environment)
                .add(image, keeping: nil)
        }
        #expect(failure == nil)
        #expect(try restored(on: fixture.fileSystem) == model)
    }

    // MARK: - Refusals

    @Test func anotherDirectoryIsRefused() throws {
        let fixture = try BackupFixture(rounds: 3)
        let other = try BackupFixture(rounds: 3, seed: 99)
        #expect(code { _ = try fixture.engine.backup(to: "db") } == .invalidArgument)
        _ = try fixture.backUp()
        // Copied over to a store of another history.
        let image = other.fileSystem
        try image.makeDirectory(path: "backups")
        let directory = try StoreDirectory.open(path: "backups", in: image)
        for name in fixture.names("backups") {
            let bytes = try #require(fixture.fileSystem.bytes(ofFile: "backups/\(name)", .cached))
            try directory.durableCreate(try #require(FileName(parsing: name)), contents: bytes)
        }
        let differs = other.engine.historyID != fixture.engine.historyID
        #expect(differs && code { _ = try other.backUp() } == .invalidArgument)

        #expect(code { _ = try BackupFixture.open("backups", fixture.environment) } == .notAStore)
        #expect(code { try fixture.backups.restore(to: "x", backup: 9) } == .invalidArgument)
        #expect(code { try fixture.backups.restore(to: "db") } == .invalidArgument)
        let none = BackupDirectory(path: "none", environment: fixture.environment)
        #expect(code { _ = try none.list() } == .notAStore)
        #expect(code { _ = try none.prune(keeping: 1) } == .notAStore)
    }

    @Test func aDirectoryInUseIsLocked() throws {
        let fixture = try BackupFixture(rounds: 3)
        _ = try fixture.backUp()
        let directory = try StoreDirectory.open(path: "backups", in: fixture.fileSystem)
        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        #expect(code { _ = try fixture.backups.list() } == .locked)
        #expect(code { try fixture.backups.restore(to: "x") } == .locked)
        try lock.release()

        let reader = try DirectoryLock.acquire(in: directory, exclusive: false)
        #expect(try fixture.backups.list().count == 1)
        #expect(code { _ = try fixture.backUp() } == .locked)
        try reader.release()
        _ = try fixture.backUp()
    }

    // MARK: - Damage

    @Test func everyFlippedByteOfAListIsNoticed() throws {
        let fixture = try BackupFixture(rounds: 20)
        _ = try fixture.backUp()
        let name = FileName.backup(1)
        let size = try #require(fixture.fileSystem.size(ofFile: "backups/\(name)", .cached))
        for offset in 0..<size {
            try fixture.change(name, at: offset)
            #expect(code { _ = try fixture.backups.list() } == .corruption, "offset \(offset)")
            try fixture.change(name, at: offset)
        }
        // While a list cannot be read, nothing is added and nothing removed.
        let names = fixture.names("backups")
        try fixture.change(name, at: 100)
        #expect(code { _ = try fixture.backUp() } == .corruption)
        #expect(code { _ = try fixture.backups.prune(keeping: 1) } == .corruption)
        #expect(fixture.names("backups") == names)
        let found = try fixture.backups.verify()
        #expect(found.backups == 0 && found.damages.map(\.file) == [name.description])
    }

    @Test func everyTruncationOfAListIsNoticed() throws {
        let fixture = try BackupFixture(rounds: 3)
        _ = try fixture.backUp()
        let path = "backups/\(FileName.backup(1))"
        let bytes = try #require(fixture.fileSystem.bytes(ofFile: path, .cached))
        for count in 0..<bytes.count {
            let isRefused = code {
                _ = try bytes.prefix(count).withUnsafeBytes {
                    try BackupList(decoding: $0, file: "list")
                }
            }
            #expect(isRefused == .corruption, "\(count) bytes")
        }
    }

    @Test func everyDamagedFileIsRefusedByName() throws {
        let fixture = try BackupFixture(rounds: 40)
        _ = try fixture.backUp()
        var offsets = 0
        for text in fixture.names("backups") {
            let name = try #require(FileName(parsing: text))
            if name == .lock || name == .backup(1) { continue }
            let size = try #require(fixture.fileSystem.size(ofFile: "backups/\(name)", .cached))
            for offset in stride(from: 0, to: size, by: max(1, Int(size / 23))) {
                try fixture.change(name, at: offset)
                do throws(EngineError) {
                    try fixture.backups.restore(to: "restored")
                    Issue.record("\(name), offset \(offset)")
                } catch {
                    #expect(error.code == .corruption && error.file == text)
                    #expect(error.offset != nil)
                }
                #expect(try fixture.backups.verify().damages.map(\.file) == [text])
                try fixture.change(name, at: offset)
                offsets += 1
            }
        }
        #expect(offsets > 40)
        #expect(fixture.names("/") == ["backups", "db"])
        #expect(try restored(on: fixture.fileSystem) == fixture.model)
    }

    @Test func aMissingOrShortFileIsRefused() throws {
        let fixture = try BackupFixture(rounds: 40)
        _ = try fixture.backUp()
        let directory = try StoreDirectory.open(path: "backups", in: fixture.fileSystem)
        let name = try #require(
            fixture.names("backups", ending: ".segment").first.flatMap(FileName.init(parsing:))
        )
        let file = try directory.open(name, for: .readWrite)
        try file.truncate(to: try file.size() - 1)
        for _ in 0..<2 {
            #expect(code { try fixture.backups.restore(to: "restored") } == .corruption)
            // A backup that would share the file notices, too.
            #expect(code { _ = try fixture.backUp() } == .corruption)
            #expect(try fixture.backups.verify().damages.count == 1)
            try directory.durableRemove([name])
        }
    }
}

extension BackupFixture {
    /// Flips a bit of a file of a backup.
    func change(_ name: FileName, at offset: UInt64) throws {
        let directory = try StoreDirectory.open(path: "backups", in: fileSystem)
        let file = try directory.open(name, for: .readWrite)
        let byte = try file.read(count: 1, at: offset)
        try file.writeFully([try #require(byte.first) ^ 4], at: offset)
    }
}
