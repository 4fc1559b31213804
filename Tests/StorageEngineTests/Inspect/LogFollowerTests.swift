import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Following a log by its files, in whatever state the writer has left them.
@Suite struct LogFollowerTests {
    private let directory = TemporaryDirectory()
    private var store: String { directory.path + "/db" }
    private var copy: String { directory.path + "/copy" }

    /// Makes a store with log files of fifteen writes each, or fewer.
    private func write(_ sequences: ClosedRange<Int>) throws {
        var options = Engine.Options()
        options.logger = .silent
        for start in stride(from: sequences.lowerBound, through: sequences.upperBound, by: 15) {
            let engine = try Engine.open(at: store, options: options)
            for number in start...min(start + 14, sequences.upperBound) {
                var generator = SeededGenerator(seed: UInt64(number))
                let value = (0..<700).map { _ in UInt8.random(in: 0...255, using: &generator) }
                try engine.put(value, for: "k\(number)", ack: .wal)
            }
            try engine.close()
        }
    }

    private func names(_ path: String) throws -> [FileName] {
        try StoreInspector.openDirectory(path).list().logNumbers.map(FileName.log)
    }

    private func bytes(of name: FileName) throws -> [UInt8] {
        let file = try StoreInspector.openDirectory(store).open(name, for: .read)
        return Array(try file.read(count: Int(file.size()), at: 0))
    }

    /// A file of the copy that is written piece by piece.
    private func make(_ name: FileName) throws -> StoreFile {
        let target = try StoreDirectory.open(path: copy, in: PosixFileSystem())
        return try target.open(name, .create)
    }

    private func makeCopy() throws {
        _ = try StoreDirectory.make(path: copy, in: PosixFileSystem(), allowsSharedWriting: false)
    }

    /// Looks as long as there is more; adds the sequences that were handed out.
    private func drain(
        _ follower: LogFollower,
        into found: inout [UInt64]
    ) throws -> LogFollower.Outcome {
        while true {
            let outcome = try follower.poll { _, event in
                if case .record(let head, _) = event { found.append(head.sequence) }
            }
            guard case .more = outcome else { return outcome }
        }
    }

    @Test(arguments: [1, 13, 512])
    func everyRecordComesOnceHoweverTheFilesGrow(_ step: Int) throws {
        try write(1...60)
        let names = try names(store)
        #expect(names.count == 4)
        try makeCopy()
        let follower = try LogFollower(path: copy, from: 0)
        var found: [UInt64] = []
        // With steps of a byte only a few frames at the end of the first file and the next.
        for name in names.prefix(step == 1 ? 2 : names.count) {
            let all = try bytes(of: name)
            let file = try make(name)
            var done = 0
            while done < all.count {
                let isFirst = done == 0
                let size = isFirst ? (step == 1 ? 13_000 : 4096) : step
                let end = min(all.count, done + size)
                try file.writeFully(Array(all[done..<end]), at: UInt64(done))
                done = end
                let outcome = try drain(follower, into: &found)
                guard case .nothing = outcome else {
                    Issue.record("\(name) at \(done), step \(step): \(outcome)")
                    return
                }
                #expect(found == (1..<UInt64(found.count + 1)).map { $0 })
            }
        }
        #expect(found.count == (step == 1 ? 30 : 60))
    }

    @Test func whatIsTornIsNotHandedOutUntilItIsWhole() throws {
        try write(1...3)
        var all = try bytes(of: .log(1))
        try makeCopy()
        let file = try make(.log(1))
        let place = 5000
        all[place] ^= 1
        try file.writeFully(all, at: 0)
        let follower = try LogFollower(path: copy, from: 0)
        var found: [UInt64] = []

        guard case .nothing = try drain(follower, into: &found) else {
            Issue.record("a torn end is not damage")
            return
        }
        #expect(found == [1])
        try file.writeFully([all[place] ^ 1], at: UInt64(place))
        _ = try drain(follower, into: &found)
        #expect(found == [1, 2, 3])
    }

    @Test func damageInAFileThatIsFinishedIsTold() throws {
        try write(1...60)
        let file = try StoreDirectory.open(path: store, in: PosixFileSystem())
            .open(.log(1), for: .readWrite)
        try file.writeFully([7], at: 8000)
        let follower = try LogFollower(path: store, from: 0)
        var found: [UInt64] = []
        var gaps = 0
        var outcome = LogFollower.Outcome.more
        while case .more = outcome {
            outcome = try follower.poll { _, event in
                if case .record(let head, _) = event { found.append(head.sequence) }
                if case .gap(_, _, let after, let isDamage) = event {
                    #expect(isDamage && after == found.last)
                    gaps += 1
                }
            }
        }

        guard case .damaged = outcome else {
            Issue.record("found \(outcome)")
            return
        }
        #expect(gaps == 1 && found == (1..<UInt64(found.count + 1)).map { $0 })
    }

    @Test func aFileThatWentBeforeItWasReadIsTold() throws {
        try write(1...60)
        let names = try names(store)
        try makeCopy()
        try make(names[0]).writeFully(try bytes(of: names[0]), at: 0)
        let follower = try LogFollower(path: copy, from: 0)
        var found: [UInt64] = []
        guard case .nothing = try drain(follower, into: &found) else {
            Issue.record("the log ends here")
            return
        }
        try make(names[2]).writeFully(try bytes(of: names[2]), at: 0)

        guard case .missing = try drain(follower, into: &found) else {
            Issue.record("the second file is not there")
            return
        }
    }

    @Test func filesBeforeTheWantedSequenceAreNotRead() throws {
        try write(1...60)
        let follower = try LogFollower(path: store, from: 50)
        var found: [UInt64] = []

        _ = try drain(follower, into: &found)

        #expect(try #require(found.first) <= 50 && found.first != 1)
        #expect(found.last == 60)
    }
}
