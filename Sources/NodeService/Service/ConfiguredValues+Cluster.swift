internal import Configuration
internal import Replication
internal import ReplicationTransport
internal import StorageEngine

/// What a member of several is told.
extension ConfiguredValues {
    func cluster(
        _ tls: TLSFiles?,
        isInsecure: Bool
    ) async throws(EngineError) -> NodeConfiguration.Cluster? {
        let peers = try await pairs("network.peers", "ID=HOST:PORT", { NetworkAddress($0) })
        guard !peers.isEmpty else { return nil }
        let member = try await ids([required("member")], of: "member")[0]
        var addresses: [UniqueID: NetworkAddress] = [:]
        for (id, peer) in zip(try ids(peers.map(\.name), of: "network.peers"), peers) {
            addresses[id] = peer.value
        }
        addresses[member] = nil
        let isConfigured = try await flag("network.insecure")
        let isInsecure = isInsecure || isConfigured
        guard isInsecure || tls != nil else {
            throw .invalidArgument("members need tls.certificate, or network.insecure on loopback")
        }
        let network = NetworkOptions(
            listen: try await address("network.listen", default: "127.0.0.1:7071"),
            peers: addresses,
            security: tls.map { isInsecure ? .insecure : .tls($0) } ?? .insecure
        )
        return NodeConfiguration.Cluster(
            member: member,
            membership: try await membership(),
            network: network,
            options: try await memberOptions()
        )
    }

    private func membership() async throws(EngineError) -> Membership {
        try Membership(
            voters: try ids(try await list("voters"), of: "voters"),
            failoverFollowers: try await number("failoverFollowers") ?? 1
        )
    }

    private func memberOptions() async throws(EngineError) -> MemberOptions {
        var options = MemberOptions()
        options.feeders = try ids(try await list("feeders"), of: "feeders")
        options.copyRate = try await number("copyRate").map { UInt64($0) }
        let after = Duration.milliseconds(try await number("shortfall.after") ?? 2_000)
        let floor = try await number("shortfall.floor") ?? 0
        switch try await text("shortfall.policy") ?? "fail" {
        case "fail": options.shortfall = .fail(after: after)
        case "wait": options.shortfall = .wait
        case "degrade": options.shortfall = .degrade(floor: floor, after: after)
        default:
            throw .invalidArgument(
                "the configuration's shortfall.policy must be fail, wait or degrade"
            )
        }
        return options
    }
}
