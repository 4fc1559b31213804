import StorageEngine
import ToolSupport

// Rounds of faults under load, on real processes. In each round one node is killed, emptied,
// stopped or cut off; when that is the leader, another one is promoted, or it comes back and leads
// on. All members settle before the next round, as a failover needs all voters but one. In the end:
//
// 1. Every write that was acknowledged, on the disks of the leader and of one follower, is there.
// 2. All members have the same log and the same keys.

/// One run.
///
/// Thread safety: none; it belongs to its task.
struct Drill {
    private let cluster: DrillCluster
    private let load: WriteLoad
    private let faults: [Fault]
    private var numbers: DrillNumbers
    private var counts = DrillCounts()

    /// - Parameters:
    ///   - cluster: Nodes that do not run yet.
    ///   - faults: What may happen to them.
    ///   - seed: What is drawn from.
    ///   - pause: How long each writer rests between two writes.
    ///   - ack: What a write must have reached, of the leader and of one follower.
    init(
        _ cluster: DrillCluster,
        faults: [Fault] = Fault.allCases,
        seed: UInt64,
        pause: Duration,
        ack: DrillAck
    ) {
        self.cluster = cluster
        self.faults = faults
        load = WriteLoad(cluster, pause: pause, ack: ack)
        numbers = DrillNumbers(seed: seed)
    }

    /// Starts the nodes, and runs the rounds.
    ///
    /// - Parameters:
    ///   - rounds: How many faults there are.
    ///   - writers: How many writers there are.
    ///   - note: Is told of each round.
    /// - Returns: What happened.
    /// - Throws: `ToolError` when a promise was broken.
    mutating func run(
        rounds: Int,
        writers: Int,
        note: (String) throws -> Void
    ) async throws -> DrillCounts {
        try cluster.start(0, as: "leader", "--bootstrap")
        for index in cluster.ids.indices.dropFirst() { try cluster.start(index) }
        try await cluster.settle()
        let load = load
        let tasks = (0..<writers).map { writer in Task { await load.run(writer) } }
        do {
            for round in 1...rounds {
                let plan = FaultPlan(faults, members: cluster.ids.count, &numbers)
                let text = try await run(plan)
                try note("round \(round): \(text), \(load.record.counts.acked) writes acked")
            }
        } catch {
            for task in tasks { task.cancel() }
            for task in tasks { await task.value }
            throw error
        }
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        try await judge()
        let found = load.record.counts
        counts.acked = found.acked
        counts.unknown = found.unknown
        counts.refused = found.refused
        counts.cuts = try cluster.noticeCount("cutting(")
        counts.copies = try cluster.noticeCount("copying(")
        return counts
    }

    // MARK: A round

    private mutating func run(_ plan: FaultPlan) async throws -> String {
        let leader = try await cluster.settle()
        try await Task.sleep(for: .milliseconds(plan.before))
        let followers = cluster.ids.indices.filter { $0 != leader }
        let victim = plan.meetsLeader ? leader : followers[plan.rank]
        counts.rounds += 1
        counts.faults[plan.fault, default: 0] += 1
        try begin(plan.fault, victim)
        var text = "\(plan.fault) of #\(victim)"
        if victim == leader {
            counts.leaders += 1
            text += ", the leader"
            try await Task.sleep(for: .milliseconds(plan.reaction))
            if plan.promotes {
                let next = try await promote(followers, first: plan.rank)
                counts.promotions += 1
                text += "; #\(next) promoted"
            }
        }
        try await Task.sleep(for: .milliseconds(plan.length))
        try end(plan.fault, victim)
        try await cluster.settle()
        return text
    }

    private func begin(_ fault: Fault, _ victim: Int) throws {
        switch fault {
        case .kill: cluster.kill(victim)
        case .empty:
            cluster.kill(victim)
            try cluster.empty(victim)
        case .pause: cluster.pause(victim)
        case .cut: try cluster.setLinks(of: victim, .cut)
        case .silence: try cluster.setLinks(of: victim, .silent)
        }
    }

    private func end(_ fault: Fault, _ victim: Int) throws {
        switch fault {
        // Whoever led finds out what it is now.
        case .kill, .empty: try cluster.start(victim)
        case .pause: cluster.resume(victim)
        case .cut, .silence: try cluster.setLinks(of: victim, .open)
        }
    }

    /// Promotes one of the nodes; one that has too few answers for a moment is asked again.
    private func promote(_ candidates: [Int], first: Int) async throws -> Int {
        for attempt in 0..<20 {
            let index = candidates[(first + attempt) % candidates.count]
            if await cluster.client(index)?.promote() ?? false { return index }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw ToolError("nobody could be promoted", exit: .other)
    }

    // MARK: The end

    private func judge() async throws {
        let leader = try await cluster.settle()
        guard let client = cluster.client(leader) else { preconditionFailure("a leader runs") }
        try await writeLast(client)
        try await cluster.catchUp()
        for index in cluster.ids.indices where !cluster.terminate(index) {
            throw ToolError("node #\(index) did not end cleanly", exit: .other)
        }
        let differences = try cluster.differences()
        guard differences.isEmpty else {
            throw ToolError("members differ: \(differences.joined(separator: "; "))", exit: .gap)
        }
        let missing = try missing(in: cluster.storePath(of: leader))
        guard missing.isEmpty else {
            let list = missing.prefix(20).joined(separator: "; ")
            throw ToolError(
                "\(missing.count) acknowledged writes are not there: \(list)",
                exit: .gap
            )
        }
    }

    /// Writes what every node must have. A member whose links were cut until now may dial again
    /// later than a write waits for it.
    private func writeLast(_ client: NodeClient) async throws {
        var last = WriteAnswer.unknown("not asked")
        for _ in 0..<20 {
            last = await client.put("end", for: "end", "ack=disk&followers=all&at=disk")
            if case .done = last { return }
        }
        throw ToolError("the last write is not acknowledged: \(last)", exit: .other)
    }

    private func missing(in store: String) throws -> [String] {
        var options = Engine.Options()
        options.readOnly = true
        options.createIfMissing = false
        options.logger = .tool
        let engine = try Engine.open(at: store, options: options)
        let missing = try load.record.missing { key throws(EngineError) in
            try engine.value(for: key).map { String(decoding: $0, as: UTF8.self) }
        }
        try engine.close()
        return missing
    }
}

/// What happened in a drill.
struct DrillCounts: Sendable {
    var rounds = 0
    /// How many of the faults met the leader, and how often another one was promoted then.
    var leaders = 0
    var promotions = 0
    /// How often a log was cut back, and a copy of the whole state taken.
    var cuts = 0
    var copies = 0
    var faults: [Fault: Int] = [:]
    var acked = 0
    var unknown = 0
    var refused = 0

    /// On one line.
    var json: JSON {
        let kinds = Fault.allCases.map { (name: $0.rawValue, value: JSON.integer(faults[$0] ?? 0)) }
        return .object(
            [("rounds", .integer(rounds))] + kinds + [
                ("leaders", .integer(leaders)), ("promotions", .integer(promotions)),
                ("cuts", .integer(cuts)), ("copies", .integer(copies)),
                ("acked", .integer(acked)), ("unknown", .integer(unknown)),
                ("refused", .integer(refused)), ("lost", .integer(0)),
            ]
        )
    }
}
