import Foundation
import Glibc
import Logging
import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing
import ToolSupport

@testable import NodeService
@testable import ReplicationTransport

/// Ports that nobody listens on now, and that no outgoing connection gets meanwhile: below those
/// which the system gives to whoever asks for any.
enum UnusedPorts {
    static func take(_ count: Int) throws -> [Int] {
        var ports: Set<Int> = []
        while ports.count < count {
            let port = Int.random(in: 20_000..<32_000)
            if try RawPeer.canListen(on: port) { ports.insert(port) }
        }
        return Array(ports)
    }
}

/// Members that speak to each other over TCP, in one process.
///
/// Thread safety: none; it belongs to its test.
final class NodeCluster {
    let directory = TemporaryDirectory()
    let ids: [UniqueID]
    private let ports: [Int]
    private let voters: Int
    private let security: (Int) -> NetworkOptions.Security
    private(set) var nodes: [MemberNode?]
    var options = MemberOptions()

    init(
        _ count: Int,
        voters: Int? = nil,
        security: @escaping (Int) -> NetworkOptions.Security = { _ in .insecure }
    ) throws {
        ids = (1...UInt64(count)).map { UniqueID(high: $0, low: 9) }
        ports = try UnusedPorts.take(count)
        nodes = ids.map { _ in nil }
        self.voters = voters ?? count
        self.security = security
        options.engine.logger.logLevel = .critical
    }

    func cluster(_ index: Int) throws -> NodeConfiguration.Cluster {
        var peers: [UniqueID: NetworkAddress] = [:]
        for (id, port) in zip(ids, ports) where id != ids[index] {
            peers[id] = NetworkAddress(host: "127.0.0.1", port: port)
        }
        var options = options
        // A follower that another one feeds would miss that one for a while.
        if index > 0 { options.feeders = [ids[0]] }
        return NodeConfiguration.Cluster(
            member: ids[index],
            membership: try Membership(voters: Array(ids.prefix(voters))),
            network: NetworkOptions(
                listen: NetworkAddress(host: "127.0.0.1", port: ports[index]),
                peers: peers,
                security: security(index)
            ),
            options: options
        )
    }

    /// A member's network, as a program would say it.
    func network(_ index: Int) throws -> NetworkOptions { try cluster(index).network }

    func path(_ index: Int) -> String { directory.path + "/member-\(index)" }

    @discardableResult
    func open(_ index: Int) throws -> MemberNode {
        var logger = options.engine.logger
        logger.logLevel = .critical
        let node = try MemberNode(at: path(index), try cluster(index), logger: logger)
        nodes[index] = node
        return node
    }

    /// Opens all, and the first one begins the history.
    func start() async throws -> [MemberNode] {
        let nodes = try ids.indices.map { try open($0) }
        try await nodes[0].beginHistory(asking: .zero)
        try await settle(leader: 0)
        return nodes
    }

    /// Waits until one leads and the others follow it.
    func settle(leader: Int) async throws {
        while true {
            var areSettled = true
            for (index, node) in nodes.enumerated() {
                guard let status = await node?.status() else { continue }
                let role: NodeStatus.Role = index == leader ? .leader : .follower
                areSettled = areSettled && status.role == role && status.leader == ids[leader]
            }
            if areSettled { return }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// Waits until a node is as wanted.
    func wait(_ index: Int, until isSo: (NodeStatus) -> Bool) async throws {
        while true {
            if let status = await nodes[index]?.status(), isSo(status) { return }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    func close(_ index: Int) async throws {
        try await nodes[index]?.close()
        nodes[index] = nil
    }

    func end() async throws {
        for index in ids.indices { try await close(index) }
    }
}

extension WriteBatch {
    /// A batch of one put.
    static func putting(_ value: String, for key: String) throws -> WriteBatch {
        var batch = WriteBatch()
        try batch.put(value, for: key)
        return batch
    }
}
