@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// A member's core with a host that does at once what it is told, and keeps what it would send.
struct CoreHarness {
    var core: MemberCore
    var now: Tick = 0
    var sent: [(message: Message, to: UniqueID)] = []
    var actions: [CoreAction] = []
    var mark: Mark

    static func id(_ number: UInt64) -> UniqueID { UniqueID(high: number, low: 0) }
    static let history = UniqueID(high: 99, low: 99)

    /// What a member of the history remembers that has promised an epoch to another.
    static func mark(promising epoch: Epoch, to number: UInt64) -> Mark {
        var mark = Mark()
        mark.history = history
        mark.promised = epoch
        mark.holder = id(number)
        return mark
    }

    /// A member among voters that are numbered from 1.
    init(
        _ number: UInt64,
        of group: (voters: Int, failoverFollowers: Int) = (3, 1),
        settings: Settings = Settings(),
        mark: Mark = Mark(),
        log: LogOutline = .empty,
        isClean: Bool = true
    ) throws {
        let ids = (1...UInt64(group.voters)).map(Self.id)
        let membership = try Membership(
            voters: ids,
            failoverFollowers: group.failoverFollowers
        )
        core = MemberCore(
            id: Self.id(number),
            membership: membership,
            settings: settings,
            preferences: ids,
            mark: mark,
            seed: number
        )
        self.mark = mark
        core.restore(log, Watermarks(all: log.tail.sequence))
        give(.opened(isClean: isClean))
    }

    /// The leader of a new history.
    static func leader(
        voters: Int = 3,
        failoverFollowers: Int = 1,
        settings: Settings = Settings()
    ) throws -> CoreHarness {
        var harness = try CoreHarness(1, of: (voters, failoverFollowers), settings: settings)
        harness.give(.bootstrap(history: history))
        return harness
    }

    mutating func give(_ event: CoreEvent) {
        for action in core.handle(event, now: now) {
            actions.append(action)
            switch action {
            case .persist(let mark): self.mark = mark
            case .send(let message, let id): sent.append((message, id))
            default: break
            }
        }
    }

    mutating func receive(_ message: Message, from number: UInt64) {
        give(.received(message, from: Self.id(number)))
    }

    mutating func tick(after time: Tick) {
        now += time
        give(.tick)
    }

    mutating func clear() {
        sent = []
        actions = []
    }

    // MARK: What was done

    var outcomes: [UInt64: Outcome] {
        var outcomes: [UInt64: Outcome] = [:]
        for case .complete(let ticket, let outcome) in actions { outcomes[ticket] = outcome }
        return outcomes
    }

    var notices: [Notice] {
        actions.compactMap { action in
            if case .notice(let notice) = action { notice } else { nil }
        }
    }

    func isAcked(_ ticket: UInt64) -> Bool {
        if case .acked = outcomes[ticket] { true } else { false }
    }

    var refusals: [Refusal.Reason] {
        sent.compactMap { message, _ in
            if case .refusal(let refusal) = message { refusal.reason } else { nil }
        }
    }

    var lastHello: Hello? {
        for case (.hello(let hello), _) in sent.reversed() { return hello }
        return nil
    }

    var lastWelcome: Welcome? {
        for case (.welcome(let welcome), _) in sent.reversed() { return welcome }
        return nil
    }

    // MARK: The leader's part

    /// Makes a record; the hashes need only differ.
    @discardableResult
    mutating func append() throws -> Tail {
        let leadership = try #require(core.leadership)
        let sequence = core.log.tail.sequence + 1
        let tail = Tail(
            epoch: leadership.epoch,
            sequence: sequence,
            logHash: sequence &* 0x9e37_79b9 ^ leadership.epoch.starter
        )
        give(.appended(tail))
        return tail
    }

    mutating func write(
        _ ticket: UInt64,
        _ requirement: Requirement,
        local: AckPoint = .memory
    ) throws {
        let tail = try append()
        let write = Write(
            ticket: ticket,
            sequence: tail.sequence,
            local: local,
            requirement: requirement
        )
        give(.write(write))
    }

    /// Greets the leader as another member would, and begins to follow.
    mutating func join(
        _ number: UInt64,
        role: Role = .voter,
        log: LogOutline = .empty,
        incarnation: UInt64 = 1,
        attempt: UInt64 = 1
    ) throws -> UInt64 {
        receive(
            .hello(hello(number, role: role, log: log, incarnation: incarnation, attempt: attempt)),
            from: number
        )
        let welcome = try #require(lastWelcome)
        let follow = Follow(
            session: welcome.session,
            after: log.tail,
            granted: 1 << 20,
            needsCopy: false,
            copy: nil
        )
        receive(.follow(follow), from: number)
        return welcome.session
    }

    func hello(
        _ number: UInt64,
        role: Role = .voter,
        log: LogOutline = .empty,
        incarnation: UInt64 = 1,
        attempt: UInt64 = 1
    ) -> Hello {
        Hello(
            history: log.isEmpty ? nil : Self.history,
            member: Self.id(number),
            role: role,
            incarnation: incarnation,
            attempt: attempt,
            nonce: number * 1_000 + attempt,
            promised: .none,
            holder: nil,
            log: log,
            isAdopting: false
        )
    }

    func report(
        _ number: UInt64,
        _ watermarks: Watermarks,
        beat: UInt64 = 0,
        incarnation: UInt64 = 1,
        epoch: Epoch? = nil
    ) -> MemberReport {
        MemberReport(
            member: Self.id(number),
            incarnation: incarnation,
            epoch: epoch ?? core.leadership?.epoch ?? .none,
            watermarks: watermarks,
            beat: beat
        )
    }

    mutating func receive(_ entries: [MemberReport], _ session: UInt64, from number: UInt64) {
        let report = Report(
            session: session,
            promised: entries.first?.epoch ?? .none,
            holder: nil,
            granted: 1 << 20,
            entries: entries
        )
        receive(.report(report), from: number)
    }
}
