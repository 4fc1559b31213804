import Replication
import StorageEngine
import StorageEngineTestSupport

/// One seed: members, their network, clients, and somebody who promotes, in one simulated time.
///
/// Every promise is checked when it is made and whenever it could be broken; at the end the faults
/// stop, and everybody must agree.
///
/// Thread safety: none.
package final class ReplicationRun {
    enum Happening {
        case deliver(Message, from: UniqueID, to: Int)
        case tick(Int, life: Int)
        case persisted(Int, life: Int, Mark)
        case reached(Int, life: Int, generation: UInt64, MemberStore.Counts, Watermarks)
        /// An answer of the host to its core.
        case host(Int, life: Int, CoreEvent)
        case cut(Int, life: Int, Tail, generation: UInt64)
        case stored(Int, life: Int, CopyPart, CopyOffer)
        case adopt(Int, life: Int, CopyOffer, generation: UInt64)
        case restart(Int, life: Int, isClean: Bool)
        case heal(Int)
        case endSlowDisk(Int)
        case client(Int)
        case giveUp(Int, operation: Int)
        case fault
        case control
        case maintain(Int)
    }

    let seed: UInt64
    var generator: SeededGenerator
    let options: ReplicationOptions
    let membership: Membership
    let history = UniqueID(high: 7, low: 7)
    var tree = RecordTree()
    var members: [SimulatedMember] = []
    /// Which slot each member's directory is in; a member that was replaced is nowhere.
    var slots: [UniqueID: Int] = [:]
    var queue = EventQueue<Happening>()
    var now: UInt64 = 0
    var network: SimulatedNetwork
    var oracle: ReplicationOracle
    var clients: [SimulatedClient]
    var isCalm = false
    /// Since when nobody led, as the one who promotes sees it.
    var leaderlessSince: UInt64?
    var promotionAttempts = 0
    var calmSince: UInt64 = 0
    /// The stores of members that were replaced.
    var gone: [UniqueID: MemberStore] = [:]
    var nextCopy: UInt64 = 0
    /// What the state of each copy was.
    var copyRecords: [UInt64: [Int]] = [:]
    /// Where each delta begins.
    var deltaStarts: [UInt64: Tail] = [:]
    var hasReplaced = false
    let operationsMin: Int
    package var counts = ReplicationCounts()
    /// Of everything that happened, in order: two runs of a seed must have the same.
    package private(set) var traceHash: UInt64 = 0
    /// Prints what happens, for replays.
    package var trace: ((String) -> Void)?

    static let faultsMin = 10
    static let tickInterval: UInt64 = 50

    package init(seed: UInt64, operations: Int) throws {
        self.seed = seed
        operationsMin = operations
        generator = SeededGenerator(seed: seed)
        options = ReplicationOptions(using: &generator)
        let ids = (0..<options.memberCount).map { UniqueID(high: UInt64($0) + 1, low: 1) }
        membership = try Membership(
            voters: Array(ids.prefix(options.voterCount)),
            failoverFollowers: options.failoverFollowers
        )
        network = SimulatedNetwork(memberCount: options.memberCount)
        oracle = ReplicationOracle(options: options, voters: membership.voters)
        clients = (0..<options.clientCount).map { _ in SimulatedClient() }
        for slot in ids.indices {
            slots[ids[slot]] = slot
            members.append(
                SimulatedMember(
                    slot: slot,
                    id: ids[slot],
                    core: makeCore(slot, ids[slot], Mark()),
                    memberCount: ids.count
                )
            )
        }
    }

    /// What the oracle may look at.
    struct View {
        let members: [SimulatedMember]
        let slots: [UniqueID: Int]
        let gone: [UniqueID: MemberStore]
        let tree: RecordTree
        let now: UInt64

        /// Whether a member holds a record, or would after its next opening.
        func holds(_ member: UniqueID, _ record: Int) -> Bool {
            slots[member].map { members[$0].store.contains(record, tree) } ?? false
        }

        /// Whether a record ever reached a point at a member.
        func hasReached(_ member: UniqueID, _ record: Int, _ point: ReplicaPoint) -> Bool {
            let stores = [slots[member].map { members[$0].store }, gone[member]]
            return stores.contains { $0?.hasReached(record, point, tree) ?? false }
        }
    }

    var view: View {
        View(members: members, slots: slots, gone: gone, tree: tree, now: now)
    }

    func makeCore(_ slot: Int, _ id: UniqueID, _ mark: Mark) -> MemberCore {
        MemberCore(
            id: id,
            membership: membership,
            settings: options.settings,
            preferences: preferences(of: slot),
            mark: mark,
            seed: generator.next()
        )
    }

    /// In a chain or a ring, whoever is before a member comes first, and may be the only one.
    private func preferences(of slot: Int) -> [UniqueID] {
        let ids = (0..<options.memberCount).map { UniqueID(high: UInt64($0) + 1, low: 1) }
        switch options.topology {
        case .star: return ids
        case .chain:
            if options.isNarrow { return Array(ids[..<slot].suffix(1)) }
            return Array(ids[..<slot].reversed() + ids[slot...])
        case .ring:
            let order = (1...ids.count).map { ids[(slot + ids.count - $0) % ids.count] }
            return options.isNarrow ? Array(order.prefix(1)) : order
        }
    }

    // MARK: Running

    /// Runs the seed: faults until enough was done, then none until all agree.
    package func run() throws {
        for member in members { start(member, isClean: true) }
        // Half of them ask first, over a network that loses what is said.
        let patience: Tick = seed % 2 == 0 ? 0 : 3_000
        give(.bootstrap(history: history, patience: patience), to: members[0])
        for client in clients.indices { queue.add(.client(client), at: 500 + random(1_000)) }
        for slot in members.indices { queue.add(.maintain(slot), at: 1_000 + random(2_000)) }
        queue.add(.control, at: 1_000)
        queue.add(.fault, at: 2_000 + random(UInt64(options.faultTime)))
        while counts[.operations] < operationsMin || counts[.faults] < Self.faultsMin {
            try step()
            guard now < 7_200_000 else { throw failure("the clients do not get on") }
        }
        try calm()
        try finish()
        counts[.simulatedSeconds] += Int(now / 1_000)
    }

    func step() throws {
        guard let (time, happening) = queue.next() else { throw failure("nothing happens") }
        now = time
        counts[.events] += 1
        try perform(happening)
        if let violation = oracle.violation { throw failure(violation) }
    }

    func failure(_ text: String) -> SimulationFailure {
        SimulationFailure("seed \(seed), \(now) ms: \(text)")
    }

    private func perform(_ happening: Happening) throws {
        switch happening {
        case .deliver(let message, let sender, let slot):
            deliver(message, from: sender, to: slot, happening)
        case .tick(let slot, let life):
            withLive(slot, life, happening) { member in
                queue.add(.tick(slot, life: life), at: now + Self.tickInterval)
                give(.tick, to: member)
            }
        case .persisted(let slot, let life, let mark):
            withLive(slot, life, happening) { member in
                member.store.mark = mark
                member.isPersisting = false
                member.markInFlight = nil
                run(member)
            }
        case .host(let slot, let life, let event):
            withLive(slot, life, happening) { give(event, to: $0) }
        case .reached, .cut, .stored, .adopt:
            performStore(happening)
        case .restart(let slot, let life, let isClean):
            if members[slot].life == life { start(members[slot], isClean: isClean) }
        case .heal(let number):
            network.heal(number)
        case .endSlowDisk(let slot):
            members[slot].isDiskSlow = false
        case .client(let client):
            act(client)
        case .giveUp(let client, let operation):
            giveUp(client, operation)
        case .fault:
            fault()
        case .control:
            control()
        case .maintain(let slot):
            maintain(slot)
        }
    }

    /// Does something for a member that still runs; for one that is paused, later.
    func withLive(
        _ slot: Int,
        _ life: Int,
        _ happening: Happening,
        _ body: (SimulatedMember) -> Void
    ) {
        let member = members[slot]
        guard member.isUp, member.life == life else { return }
        guard member.pausedUntil <= now else {
            queue.add(happening, at: member.pausedUntil)
            return
        }
        body(member)
    }

    // MARK: Messages

    private func deliver(
        _ message: Message,
        from sender: UniqueID,
        to slot: Int,
        _ happening: Happening
    ) {
        let member = members[slot]
        guard member.isUp else { return }
        guard member.pausedUntil <= now else {
            queue.add(happening, at: member.pausedUntil)
            return
        }
        counts[.messages] += 1
        give(.received(message, from: sender), to: member)
    }

    func send(_ message: Message, from member: SimulatedMember, to id: UniqueID) {
        guard let slot = slots[id], slot != member.slot else { return }
        oracle.check(message, from: member, tree)
        switch message {
        case .welcome where member.leadership == nil: counts[.relays] += 1
        case .refusal(let refusal):
            if case .fenced = refusal.reason { counts[.fencedLeaders] += 1 }
        default: break
        }
        guard network.isOpen(from: member.slot, to: slot) else { return }
        let isLossy = !isCalm
        if isLossy, random(100) < UInt64(options.loss) {
            counts[.lost] += 1
            return
        }
        arrive(message, from: member, at: slot)
        if isLossy, random(100) < UInt64(options.replay) {
            counts[.replayed] += 1
            arrive(message, from: member, at: slot)
        }
    }

    private func arrive(_ message: Message, from member: SimulatedMember, at slot: Int) {
        let mean = UInt64(options.meanDelay)
        let delay = 1 + random(mean) + random(mean) + (random(50) == 0 ? random(mean * 10) : 0)
        var time = max(now + delay, network.clogEnd(from: member.slot, to: slot))
        if options.isOrdered || isCalm {
            time = max(time, member.arrivals[slot])
            member.arrivals[slot] = time
        }
        queue.add(.deliver(message, from: member.id, to: slot), at: time)
    }

    // MARK: The trace

    func note(_ kind: UInt64, _ slot: Int, _ detail: UInt64 = 0) {
        var mixed = traceHash ^ (now &* 0x9e37_79b9_7f4a_7c15)
        mixed = (mixed ^ kind ^ (UInt64(slot) << 8)) &* 0xbf58_476d_1ce4_e5b9
        traceHash = (mixed ^ (mixed >> 29) ^ detail) &* 0x94d0_49bb_1331_11eb
    }

    func random(_ end: UInt64) -> UInt64 {
        end == 0 ? 0 : UInt64.random(in: 0..<end, using: &generator)
    }
}
