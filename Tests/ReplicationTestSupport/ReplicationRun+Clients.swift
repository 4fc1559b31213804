import Replication
import StorageEngine
import StorageEngineTestSupport

/// Asks one thing after the other.
struct SimulatedClient {
    /// The operation that it waits for.
    var operation: Int?
}

extension ReplicationRun {
    /// Keys below this are registers: their operations are always asked for with the promise that
    /// they survive, so that what clients saw must be linearizable.
    static let registerCount = 6
    static let keyCount = 12

    func act(_ client: Int) {
        guard clients[client].operation == nil else { return }
        let leaders = members.filter { member in
            member.isUp && member.leadership != nil && member.pausedUntil <= now
        }
        guard !leaders.isEmpty, !isCalm || now < calmClientsUntil else {
            if !isCalm { queue.add(.client(client), at: now + 100 + random(200)) }
            return
        }
        counts[.operations] += 1
        let key = Int(random(UInt64(Self.keyCount)))
        let isRead = key < Self.registerCount && random(3) == 0
        let leader = choose(among: leaders, isRead: isRead)
        let operation = oracle.invoke(isRead ? .read : .write, key, leader, at: now)
        clients[client].operation = operation
        queue.add(.giveUp(client, operation: operation), at: now + 5_000)
        if isRead {
            read(key, operation, leader)
        } else {
            write(key, operation, leader)
        }
    }

    /// Of several that believe to lead, writers mostly find the right one; readers find any.
    private func choose(among leaders: [SimulatedMember], isRead: Bool) -> SimulatedMember {
        let last = leaders.max { left, right in
            (left.leadership?.epoch.number ?? 0) < (right.leadership?.epoch.number ?? 0)
        }
        if let last, !isRead, random(8) > 0 { return last }
        return leaders[Int(random(UInt64(leaders.count)))]
    }

    private func read(_ key: Int, _ operation: Int, _ leader: SimulatedMember) {
        counts[.reads] += 1
        let record = leader.store.records.last { tree[$0].key == key } ?? -1
        oracle.operations[operation].record = record
        let requirement = Requirement.followers(options.failoverFollowers, at: .disk)
        give(.confirm(ticket: UInt64(operation), requirement), to: leader)
    }

    private func write(_ key: Int, _ operation: Int, _ leader: SimulatedMember) {
        let requirement = requirement(for: key)
        guard leader.core.admits(requirement) else {
            return oracle.violate("a requirement within the membership is refused")
        }
        let record = append(key: key, leader)
        let local = AckPoint.allCases.randomElement(using: &generator) ?? .disk
        let write = Write(
            ticket: UInt64(operation),
            sequence: tree[record].sequence,
            local: local,
            requirement: requirement
        )
        oracle.operations[operation].record = record
        oracle.operations[operation].write = write
        give(.write(write), to: leader)
    }

    private func requirement(for key: Int) -> Requirement {
        let least = options.failoverFollowers
        guard key >= Self.registerCount else {
            let followers = Int.random(in: least...(options.voterCount - 1), using: &generator)
            return .followers(followers, at: .disk)
        }
        let point = ReplicaPoint.allCases.randomElement(using: &generator) ?? .wal
        switch random(6) {
        case 0...1: return .none
        case 2: return .allFollowers(at: point)
        default:
            let followers = Int.random(in: 1...(options.voterCount - 1), using: &generator)
            return .followers(followers, at: point)
        }
    }

    /// The client does not wait longer: it does not know.
    func giveUp(_ client: Int, _ operation: Int) {
        guard clients[client].operation == operation else { return }
        release(client)
    }

    private func release(_ client: Int) {
        clients[client].operation = nil
        queue.add(.client(client), at: now + 1 + random(2 * UInt64(options.thinkTime)))
    }

    func complete(_ operation: Int, _ outcome: Outcome, _ leader: SimulatedMember) {
        note(2, leader.slot, UInt64(operation))
        oracle.complete(operation, outcome, leader, view, &counts)
        if let client = clients.firstIndex(where: { $0.operation == operation }) { release(client) }
    }

    // MARK: The end

    var calmClientsUntil: UInt64 { calmSince + 3_000 }

    /// Without faults everybody agrees before long: one leader, equal logs, nothing that waits.
    func finish() throws {
        calmSince = now
        let end = now + 240_000
        for client in clients.indices where clients[client].operation == nil {
            queue.add(.client(client), at: now + 100)
        }
        while now < calmClientsUntil || !hasConverged() {
            guard now < end else {
                throw failure("no agreement without faults: \(disagreement())")
            }
            try step()
        }
        oracle.finish(view)
        if let violation = oracle.violation { throw failure(violation) }
        try checkLinearizability()
    }

    private func hasConverged() -> Bool {
        let leaders = members.filter { $0.isUp && $0.leadership != nil }
        guard leaders.count == 1, let leader = leaders.first else { return false }
        let tail = leader.store.tail(tree)
        let count = leader.store.records.count
        return members.filter { !$0.isStranger }.allSatisfy { member in
            member.isUp && member.store.tail(tree) == tail && member.core.log.tail == tail
                && member.store.counts.applied == count
                && member.store.counts.disk == count && !member.core.isSuspect
        } && clients.allSatisfy { $0.operation == nil }
    }

    private func disagreement() -> String {
        members.map { member in
            "#\(member.slot) \(member.isUp ? "up" : "down")"
                + "\(member.leadership == nil ? "" : " leads")"
                + "\(member.core.isSuspect ? " suspect" : "")"
                + " promised \(member.core.mark.promised) tail \(member.store.tail(tree).sequence)"
        }.joined(separator: ", ")
    }

    private func checkLinearizability() throws {
        guard oracle.isJudged else {
            counts[.unjudgedRuns] += 1
            return
        }
        for key in 0..<Self.registerCount {
            let history = oracle.operations.filter { $0.key == key }.map(\.call)
            guard Linearizability.holds(history) else {
                throw failure("S8: key \(key) is not linearizable: \(history)")
            }
            counts[.linearizableKeys] += 1
        }
    }
}
