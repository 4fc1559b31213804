import NIOCore
import NIOPosix
import ReplicationTransport
import StorageEngine

/// All nodes on 127.0.0.1, and between each two of them a proxy in each direction. Needs no rights.
///
/// Thread safety: every method may be called from any thread; only one at a time for a node.
final class LoopbackNetwork: DrillNetwork {
    private struct Link: Hashable {
        let dialer, receiver: Int
    }

    private let ids: [UniqueID]
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let proxies: [Link: LinkProxy]

    /// - Throws: When no port can be bound.
    init(_ ids: [UniqueID]) throws {
        self.ids = ids
        var proxies: [Link: LinkProxy] = [:]
        for dialer in ids.indices {
            for receiver in ids.indices where receiver != dialer {
                let link = Link(dialer: dialer, receiver: receiver)
                proxies[link] = try LinkProxy(on: group.next())
            }
        }
        self.proxies = proxies
    }

    func command(_ index: Int, _ words: [String]) -> [String] { words }

    func environment(of index: Int) -> [String: String] {
        let peers = ids.indices.filter { $0 != index }.map { other in
            let port = proxies[Link(dialer: index, receiver: other)]?.port ?? 0
            return "\(ids[other])=127.0.0.1:\(port)"
        }
        return [
            "ENGINENODE_NETWORK_LISTEN": "127.0.0.1:0",
            "ENGINENODE_NETWORK_PEERS": peers.joined(separator: ","),
            "ENGINENODE_NETWORK_INSECURE": "true", "ENGINENODE_HTTP_LISTEN": "127.0.0.1:0",
        ]
    }

    func started(_ index: Int, _ node: NodeProcess) throws {
        for (link, proxy) in proxies where link.receiver == index {
            try proxy.setTarget(node.memberPort)
        }
    }

    func client(_ index: Int, _ node: NodeProcess) -> NodeClient {
        NodeClient(NetworkAddress(host: "127.0.0.1", port: node.httpPort))
    }

    func setLinks(of index: Int, _ state: LinkState) throws {
        for (link, proxy) in proxies where link.dialer == index || link.receiver == index {
            try proxy.set(state)
        }
    }

    func end() throws {
        for proxy in proxies.values { try proxy.stop() }
        try group.syncShutdownGracefully()
    }
}
