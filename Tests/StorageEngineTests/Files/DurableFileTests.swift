import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What survives when the durable operations of a directory are cut off anywhere.
@Suite struct DurableFileTests {
    static let old = (0..<1700).map { UInt8(truncatingIfNeeded: $0 % 250 + 1) }
    static let new = (0..<2900).map { UInt8(truncatingIfNeeded: $0 % 240 + 9) }

    /// A file system with an old `STORE`, whose writes are cut into pieces from now on.
    static func prepared(_ profile: SimulatedProfile) throws -> SimulatedFileSystem {
        let fileSystem = SimulatedFileSystem(profile: profile)
        let directory = try StoreDirectory.make(path: "/store", in: fileSystem)
        try directory.durableReplace(.store, contents: old)
        fileSystem.inject(
            SimulatedFault(.write, errno: nil, bytesDone: 700, duration: .forever)
        )
        fileSystem.forgetTrace()
        return fileSystem
    }

    static func store(_ fileSystem: SimulatedFileSystem) throws -> StoreDirectory {
        try StoreDirectory.open(path: "/store", in: fileSystem)
    }

    /// Visits every crash at every place of a file system's trace.
    static func crashes(
        of fileSystem: SimulatedFileSystem,
        _ visit: (_ after: SimulatedFileSystem, _ isAtEnd: Bool, _ policy: CrashPolicy) throws ->
            Void
    ) rethrows {
        var generator = SplitMix(state: 42)
        var history = fileSystem.history()
        while true {
            var policies: [CrashPolicy] = [.none, .all, .sizesOnly]
            policies += (0...history.pendingCount).map { .prefix($0) }
            policies += [0, 1, 300, 511, 512].map { .tornLast(bytes: $0) }
            policies += (0..<24).map { .sectors(keep: Double($0 % 5) / 4) }
            for policy in policies {
                let isAtEnd = history.next == nil
                try visit(history.crashed(policy, using: &generator), isAtEnd, policy)
            }
            guard history.next != nil else { return }
            history.advance(to: history.position + 1)
        }
    }

    @Test(arguments: SimulatedProfile.allCases)
    func replacingIsOldOrNewAtEveryCrash(profile: SimulatedProfile) throws {
        let fileSystem = try Self.prepared(profile)
        try Self.store(fileSystem).durableReplace(.store, contents: Self.new)

        var found: [[UInt8]: Int] = [:]
        try Self.crashes(of: fileSystem) { after, isAtEnd, policy in
            let bytes = try #require(after.bytes(ofFile: "/store/STORE", .cached))
            found[bytes, default: 0] += 1
            if isAtEnd { #expect(bytes == Self.new, "\(policy)") }

            // What the crash left behind does not stop the next attempt.
            let directory = try Self.store(after)
            try directory.durableReplace(.store, contents: [1])
            #expect(after.bytes(ofFile: "/store/STORE", .durable) == [1])
            #expect(try directory.list().known == [.store])
        }

        #expect(Set(found.keys) == [Self.old, Self.new])
    }

    @Test(arguments: SimulatedProfile.allCases)
    func aFileIsDurableOnceItIsCreated(profile: SimulatedProfile) throws {
        let fileSystem = try Self.prepared(profile)
        try Self.store(fileSystem).durableCreate(.log(1), contents: Self.new)

        var absentCount = 0
        Self.crashes(of: fileSystem) { after, isAtEnd, policy in
            let bytes = after.bytes(ofFile: "/store/0000000001.log", .cached)
            if bytes == nil { absentCount += 1 }
            if isAtEnd { #expect(bytes == Self.new, "\(policy)") }
            #expect(after.bytes(ofFile: "/store/STORE", .cached) == Self.old)
        }

        #expect(absentCount > 0)
    }

    @Test(arguments: SimulatedProfile.allCases)
    func aRemovedFileDoesNotComeBack(profile: SimulatedProfile) throws {
        let fileSystem = try Self.prepared(profile)
        let directory = try Self.store(fileSystem)
        for number in 1...3 as ClosedRange<UInt64> {
            try directory.durableCreate(.log(number), contents: [1])
        }
        fileSystem.forgetTrace()

        try directory.durableRemove([.log(1), .log(7), .log(2)])

        try Self.crashes(of: fileSystem) { after, isAtEnd, policy in
            let names = try Self.store(after).list().known
            #expect(names.first == .store && names.last == .log(3))
            if isAtEnd { #expect(names == [.store, .log(3)], "\(policy)") }
            // In the order of the calls: nothing later is gone while something earlier is left.
            if names.contains(.log(1)) { #expect(names.contains(.log(2))) }
        }
        #expect(try directory.list().known == [.store, .log(3)])
    }

    @Test(arguments: SimulatedProfile.allCases)
    func quarantineIsWholeOnceItIsSaved(profile: SimulatedProfile) throws {
        let fileSystem = try Self.prepared(profile)
        let directory = try Self.store(fileSystem)
        let file = try directory.durableCreate(.log(1), contents: Self.new)
        fileSystem.forgetTrace()

        let name = try directory.saveToQuarantine(100..<2000, of: file)

        Self.crashes(of: fileSystem) { after, isAtEnd, policy in
            let bytes = after.bytes(ofFile: "/store/\(name)", .cached)
            if isAtEnd { #expect(bytes == Array(Self.new[100..<2000]), "\(policy)") }
            #expect(after.bytes(ofFile: "/store/0000000001.log", .cached) == Self.new)
        }
    }

    @Test(arguments: [false, true], [EIO, ENOSPC])
    func aFailedReplaceLeavesOldOrNew(takesEffect: Bool, errno: Int32) throws {
        // Each call in turn fails, until the replacement gets through.
        for occurrence in 1... {
            let fileSystem = try Self.prepared(.strict)
            let directory = try Self.store(fileSystem)
            fileSystem.removeFaults()
            var fault = SimulatedFault(nil, errno: errno, occurrence: occurrence)
            fault.takesEffect = takesEffect
            fileSystem.inject(fault)

            var hasFailed = false
            do throws(EngineError) {
                try directory.durableReplace(.store, contents: Self.new)
            } catch {
                hasFailed = true
                #expect(error.errno == errno)
            }

            guard fileSystem.injectedFaultCount > 0 else { return #expect(occurrence > 6) }
            let bytes = try #require(fileSystem.bytes(ofFile: "/store/STORE", .cached))
            #expect(bytes == Self.new || hasFailed && bytes == Self.old)
            let durable = fileSystem.bytes(ofFile: "/store/STORE", .durable)
            #expect(durable == Self.new || hasFailed && durable == Self.old)
            try directory.durableReplace(.store, contents: [7])
            #expect(fileSystem.bytes(ofFile: "/store/STORE", .durable) == [7])
        }
    }

    @Test func aFailedCreationLeavesNoFile() throws {
        let fileSystem = try Self.prepared(.strict)
        let directory = try Self.store(fileSystem)
        fileSystem.capacity = 4000

        #expect {
            try directory.durableCreate(.log(1), contents: Self.new)
        } throws: {
            ($0 as? EngineError)?.code == .noSpace
        }

        #expect(try directory.list().known == [.store])
        #expect(try directory.freeSpace() == 2300)
        try directory.durableCreate(.log(1), contents: [1])
    }

    @Test func creatingNeverReplaces() throws {
        let fileSystem = try Self.prepared(.strict)

        #expect {
            try Self.store(fileSystem).durableCreate(.store, contents: [1])
        } throws: {
            ($0 as? EngineError)?.errno == EEXIST
        }

        #expect(fileSystem.bytes(ofFile: "/store/STORE", .cached) == Self.old)
    }
}

/// A generator that draws the same numbers every time (Steele, Lea and Flood's SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
