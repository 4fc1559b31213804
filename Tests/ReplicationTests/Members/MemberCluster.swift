import ReplicationTestSupport
import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Members on real stores in a temporary directory, in one process.
///
/// Thread safety: none; it belongs to its test.
final class MemberCluster {
    let directory = TemporaryDirectory()
    let network = LocalNetwork()
    let membership: Membership
    let ids: [UniqueID]
    private(set) var members: [Member?]
    private let history = EventHistory()
    /// Members whose disk is simulated.
    var disks: [Int: SimulatedFileSystem] = [:]
    /// Where members get their randomness from, if not from the system.
    var entropy: [Int: @Sendable () -> UInt64] = [:]
    /// How members are opened from now on.
    var options = MemberOptions()

    /// Members are numbered from 0; the first `voters` of them vote.
    init(voters: Int, observers: Int = 0, failoverFollowers: Int = 1) throws {
        ids = (1...UInt64(voters + observers)).map { UniqueID(high: $0, low: 7) }
        members = ids.map { _ in nil }
        membership = try Membership(
            voters: Array(ids.prefix(voters)),
            failoverFollowers: failoverFollowers
        )
        options.engine = .quiet
        options.engine.logFileSize = 32_768
        options.createIfMissing = true
        options.settings.beatInterval = 50
        options.settings.reportInterval = 50
        options.settings.greetTimeout = 500
        options.settings.silenceMax = 1_500
        options.settings.preferenceTime = 1_000
        options.settings.consultTimeout = 4_000
    }

    deinit { for member in members { member?.abandon() } }

    func path(_ index: Int) -> String { "\(directory.path)/member-\(index)" }

    @discardableResult
    func open(
        _ index: Int,
        _ adjust: (inout MemberOptions) -> Void = { _ in }
    ) throws -> Member {
        var options = options
        adjust(&options)
        let member = try Member.open(
            at: disks[index] == nil ? path(index) : "member",
            id: ids[index],
            membership: membership,
            links: network.links(of: ids[index]),
            options: options,
            environment: environment(index)
        )
        members[index] = member
        history.listen(to: member, "\(index)")
        return member
    }

    private func environment(_ index: Int) -> Environment {
        let system = Environment.system()
        return Environment(
            fileSystem: disks[index] ?? system.fileSystem,
            time: system.time,
            entropy: entropy[index] ?? system.entropy,
            startsThreads: true
        )
    }

    /// Opens all members; the first one begins the history, and the others have caught up.
    func start() async throws -> [Member] {
        let opened = try ids.indices.map { try open($0) }
        try opened[0].bootstrap()
        try await Self.wait("nobody is suspect", history) {
            opened.allSatisfy { !$0.status.isSuspect }
        }
        return opened
    }

    func close(_ index: Int) throws {
        try members[index]?.close()
        members[index] = nil
    }

    /// The process of a member dies.
    func kill(_ index: Int) {
        members[index]?.abandon()
        members[index] = nil
    }

    /// A member's directory.
    func place(_ index: Int) throws -> StoreDirectory {
        try StoreDirectory.open(path: path(index), in: PosixFileSystem())
    }

    /// Somebody empties a member's directory.
    func empty(_ index: Int) throws {
        let parent = try StoreDirectory.open(path: directory.path, in: PosixFileSystem())
        let place = try place(index)
        for name in try place.list().unknown { try place.removeTree(name) }
        try parent.removeTree("member-\(index)")
    }

    subscript(index: Int) -> Member {
        get throws { try #require(members[index]) }
    }

    /// Whether a member has told of something, as in `#1 copying`.
    func hasHappened(_ text: String) -> Bool { history.contains(text) }

    /// Asks a member to lead; another one may come to lead meanwhile.
    static func promote(_ member: Member) async {
        do { try await member.promote() } catch {}
    }

    /// Waits for something that must come to be.
    static func wait(
        _ what: String,
        _ history: EventHistory = EventHistory(),
        _ condition: () throws -> Bool
    ) async throws {
        for _ in 0..<6_000 {
            if try condition() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw SimulationFailure("never: \(what)\(history.last(40))")
    }

    /// Waits until all members that are open have the same log, and one of them leads.
    func waitUntilEqual() async throws {
        let (members, history) = (members, history)
        try await Self.wait("all members have one log", history) {
            let open = members.compactMap { $0 }
            guard open.contains(where: { $0.status.activity == .leading }) else { return false }
            let logs = open.map(Self.end)
            return Set(logs).count == 1 && logs[0] != nil
                && open.allSatisfy { ![.alone, .promoting].contains($0.status.activity) }
        }
    }

    /// Where a member's log ends; `nil` while another store takes its place.
    static func end(of member: Member) -> Position? {
        do throws(EngineError) { return try member.engine?.history().end } catch { return nil }
    }

    /// All keys and values of a member, as text.
    static func contents(_ member: Member) throws -> [String: String] {
        let engine = try #require(member.engine)
        var found: [String: String] = [:]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            found[text(cursor.key)] = text(cursor.value)
        }
        return found
    }

    private static func text(_ bytes: Span<UInt8>) -> String {
        var copy: [UInt8] = []
        for index in bytes.indices { copy.append(bytes[index]) }
        return String(decoding: copy, as: UTF8.self)
    }
}

/// What happened to the members of a test, for its failure.
///
/// Thread safety: every method may be called from any thread.
final class EventHistory: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var lines: [String] = []

    func listen(to member: Member, _ name: String) {
        let events = member.events
        Task { [self] in
            for await event in events { lock.with { lines.append("\n  #\(name) \(event)") } }
        }
    }

    func contains(_ text: String) -> Bool {
        lock.with { lines.contains { $0.contains(text) } }
    }

    func last(_ count: Int) -> String { lock.with { lines.suffix(count).joined() } }
}
