internal import Replication
internal import ReplicationTransport
internal import StorageEngine

extension MemberNode {
    package func status() async -> NodeStatus {
        let status = member.status
        let engine = member.engine
        var result = NodeStatus(
            role: NodeStatus.Role(status.activity),
            member: status.member,
            history: status.history,
            position: status.position,
            members: members(status),
            engine: engine?.metrics
        )
        result.leader = status.leader
        result.feeder = status.feeder
        result.epoch = status.promised
        result.replicatedSequence = status.replicatedSequence
        result.missing = status.missing
        result.isSuspect = status.isSuspect
        result.shortfall = shortfall(status)
        result.trouble = status.failure?.description
        if engine == nil, status.failure == nil {
            result.trouble =
                status.history == nil ? withoutHistory : "another store takes this one's place"
        }
        result.network = network.counts
        return result
    }

    private var withoutHistory: String {
        let text = "the member has no history yet: nobody has fed it"
        return text + (historyHolder.map { ", and it begins none, as member \($0) has one" } ?? "")
    }

    /// All that there are, this one first, then by identity.
    private func members(_ status: MemberStatus) -> [NodeStatus.Member] {
        let others = Set(cluster.membership.voters + cluster.network.peers.keys)
            .union(status.progress.map(\.member)).subtracting([status.member])
        let sorted = others.sorted { ($0.high, $0.low) < ($1.high, $1.low) }
        let links = network.connected
        let connected = links.outgoing.union(links.incoming).union([status.member])
        return ([status.member] + sorted).map { id in
            let progress = status.progress.first { $0.member == id }
            return NodeStatus.Member(
                id: id,
                address: address(of: id),
                role: role(of: id, status),
                isConnected: connected.contains(id),
                reached: progress.map { [$0.received, $0.wal, $0.disk, $0.applied] },
                lag: (
                    progress?.lagSequences ?? 0, progress?.lagBytes ?? 0,
                    progress?.lagMilliseconds ?? 0
                )
            )
        }
    }

    private func address(of id: UniqueID) -> String {
        if id == member.id {
            let host = cluster.network.listen.host
            return "\(NetworkAddress(host: host, port: network.port))"
        }
        return cluster.network.peers[id].map { "\($0)" } ?? ""
    }

    private func role(of id: UniqueID, _ status: MemberStatus) -> String {
        if status.leader == id { return "leader" }
        return cluster.membership.voters.contains(id) ? "voter" : "observer"
    }

    private func shortfall(_ status: MemberStatus) -> NodeStatus.Shortfall {
        if status.isDegraded, case .degrade(let floor, _) = cluster.options.shortfall {
            return .degraded(followers: floor)
        }
        guard !status.blocking.isEmpty else { return .none }
        return .waiting(writes: status.waitingCount, blockers: status.blocking)
    }
}

extension NodeStatus.Role {
    init(_ activity: MemberStatus.Activity) {
        self =
            switch activity {
            case .leading: .leader
            case .promoting: .candidate
            case .following: .follower
            case .alone: .alone
            }
    }
}
