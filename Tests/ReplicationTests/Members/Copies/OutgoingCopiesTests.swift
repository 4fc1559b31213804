import Glibc
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Copies of a leader's store while they are handed out.
@Suite struct OutgoingCopiesTests {
    private let disk = SimulatedFileSystem()
    private let directory: StoreDirectory
    private let engine: Engine
    private let copies: OutgoingCopies

    init() throws {
        let system = Environment.system()
        let environment = Environment(
            fileSystem: disk,
            time: system.time,
            entropy: system.entropy,
            startsThreads: true
        )
        directory = try StoreDirectory.make(path: "member", in: disk)
        var options = Engine.Options.quiet
        options.isMember = true
        engine = try Engine.open(at: "member/store", options: options, environment: environment)
        try engine.lead(Epoch(number: 1, starter: 1))
        for number in 0..<100 { try engine.put("v", for: "\(number)", ack: .memory) }
        try engine.flush()
        copies = OutgoingCopies(directory: directory, rate: nil, isOpen: { true }) { _ in }
    }

    private func make(
        id: () -> UInt64 = { 7 },
        now: () -> Tick = { 0 }
    ) throws(EngineError) -> CopyOffer {
        try copies.offer(of: engine, since: .zero, isWhole: true, id: id, now: now)
    }

    private var copyNames: [String] {
        get throws { try directory.list().unknown.filter { $0.contains("copy-") } }
    }

    @Test func aCopyIsIdleFromWhenItIsMade() throws {
        var time: Tick = 1
        let offer = try make {
            // Making it takes two minutes.
            time += 120_000
            return 7
        } now: {
            time
        }
        copies.removeIdle(now: time + 1)
        #expect(try copies.part(0, of: offer.id, now: time + 1) != nil)
        copies.removeIdle(now: time + 60_002)
        #expect(try copies.part(0, of: offer.id, now: time) == nil)
        #expect(try copyNames.isEmpty)
        try engine.close()
    }

    @Test func nothingIsLeftOfACopyThatCouldNotBeMade() throws {
        disk.inject(SimulatedFault(.list, errno: EIO) { $0.hasPrefix("copy-") })
        let error = #expect(throws: EngineError.self) { try make() }
        #expect(error?.errno == EIO)
        #expect(try copyNames.isEmpty)
        #expect(engine.slots.isEmpty)
        // The next one is whole.
        let offer = try make()
        #expect(try copies.part(offer.partCount - 1, of: offer.id, now: 0) != nil)
        try engine.close()
    }

    @Test func theLogIsKeptBeforeACopyIsBegun() throws {
        disk.recordsCalls = true
        _ = try make()
        let calls = disk.recordedCalls.map(\.name)
        let slot = try #require(calls.firstIndex { $0.contains("SLOTS") })
        let copy = try #require(calls.firstIndex { $0.contains("copy-") })
        #expect(slot < copy)
        // It is kept from where the copy ends, and no longer than that.
        #expect(engine.slots.map(\.position.sequence) == [engine.lastSequence])
        copies.removeAll()
        #expect(engine.slots.isEmpty)
        try engine.close()
    }
}
