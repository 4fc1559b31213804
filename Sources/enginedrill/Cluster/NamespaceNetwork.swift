import Foundation
import Glibc
import ReplicationTransport
import StorageEngine
import ToolSupport

// Every node is in a network namespace of its own, as on a machine of its own, and has two cables,
// each to a switch (a bridge) in the namespace of the drill: `data` is for the members, which speak
// TLS there, `control` for the drill, which asks over HTTPS. Only `data` is ever cut: a leader that
// no member hears goes on to hear its clients.
//
//   10.209.1.254 drill ── bridge control ── 10.209.1.(n+1) node n
//                         bridge data ───── 10.209.2.(n+1) node n

/// A switched network between namespaces. Needs root, `ip` and `openssl`.
///
/// Thread safety: every method may be called from any thread; only one at a time for a node.
struct NamespaceNetwork: DrillNetwork {
    private static let httpPort = 7070
    private static let memberPort = 7071

    private let ids: [UniqueID]
    private let authority: CertificateAuthority

    /// Builds the network in the namespace of this process, which must be empty: that of the
    /// machine is left alone.
    ///
    /// - Parameters:
    ///   - ids: The members.
    ///   - directory: Where certificates are made; it exists.
    /// - Throws: `ToolError` when something is not possible here.
    init(_ ids: [UniqueID], in directory: String) throws {
        self.ids = ids
        let devices = try String(contentsOfFile: "/proc/net/dev", encoding: .utf8)
        // Behind two lines of headings.
        guard devices.split(separator: "\n").count == 3 else {
            throw ToolError("making namespaces: run the drill in one, with unshare --net")
        }
        guard let authority = try CertificateAuthority(in: directory) else {
            throw ToolError("making certificates: openssl does not", exit: .other)
        }
        self.authority = authority
        try Self.issue("drill", by: authority)
        for index in ids.indices {
            try Self.issue(
                Self.name(index),
                addresses: [Self.address(index, .control)],
                by: authority
            )
        }
        do {
            try build()
        } catch {
            try end()
            throw error
        }
    }

    private static func issue(
        _ name: String,
        addresses: [String] = [],
        by authority: CertificateAuthority
    ) throws {
        guard try authority.issue(name, addresses: addresses) else {
            throw ToolError("making a certificate of \(name): openssl does not", exit: .other)
        }
    }

    // MARK: Cables

    private enum Cable: Int, CaseIterable {
        case control = 1
        case data = 2

        var bridge: String { "\(self)" }

        /// The end at the switch.
        func port(_ index: Int) -> String { "\(self)-\(index)" }
    }

    private static func ip(_ words: String...) throws {
        guard try Command.run(["ip"] + words) == 0 else {
            throw ToolError("ip \(words.joined(separator: " ")): it does not", exit: .other)
        }
    }

    private func build() throws {
        try Self.ip("link", "set", "lo", "up")
        for cable in Cable.allCases {
            try Self.ip("link", "add", cable.bridge, "type", "bridge")
            try Self.ip("link", "set", cable.bridge, "up")
        }
        try Self.ip("address", "add", "10.209.1.254/24", "dev", Cable.control.bridge)
        for index in ids.indices {
            let space = Self.namespace(index)
            try Self.ip("netns", "add", space)
            try Self.ip("-n", space, "link", "set", "lo", "up")
            for cable in Cable.allCases {
                let (port, end) = (cable.port(index), cable.bridge)
                let address = "\(Self.address(index, cable))/24"
                try Self.ip(
                    "link",
                    "add",
                    port,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    end,
                    "netns",
                    space
                )
                try Self.ip("link", "set", port, "master", cable.bridge, "up")
                try Self.ip("-n", space, "address", "add", address, "dev", end)
                try Self.ip("-n", space, "link", "set", end, "up")
            }
        }
    }

    /// Cables and switches go with their namespaces.
    func end() throws {
        for index in ids.indices {
            _ = try Command.run(["ip", "netns", "delete", Self.namespace(index)])
        }
    }

    private static func name(_ index: Int) -> String { "member-\(index)" }

    /// Names of namespaces are the machine's.
    private static func namespace(_ index: Int) -> String { "drill-\(getpid())-\(index)" }

    private static func address(_ index: Int, _ cable: Cable) -> String {
        "10.209.\(cable.rawValue).\(index + 1)"
    }

    // MARK: Nodes

    func command(_ index: Int, _ words: [String]) -> [String] {
        ["ip", "netns", "exec", Self.namespace(index)] + words
    }

    func environment(of index: Int) -> [String: String] {
        let peers = ids.indices.map { other in
            "\(ids[other])=\(Self.address(other, .data)):\(Self.memberPort)"
        }
        let names = ids.indices.map { "\(Self.name($0))=\(ids[$0])" }
        return [
            "ENGINENODE_NETWORK_LISTEN": "\(Self.address(index, .data)):\(Self.memberPort)",
            "ENGINENODE_NETWORK_PEERS": peers.joined(separator: ","),
            "ENGINENODE_HTTP_LISTEN": "\(Self.address(index, .control)):\(Self.httpPort)",
            "ENGINENODE_HTTP_TLS": "true", "ENGINENODE_HTTP_NAMES": "drill=admin",
            "ENGINENODE_TLS_CERTIFICATE": authority.certificate(of: Self.name(index)),
            "ENGINENODE_TLS_KEY": authority.key(of: Self.name(index)),
            "ENGINENODE_TLS_AUTHORITY": authority.roots,
            "ENGINENODE_TLS_NAMES": names.joined(separator: ","),
        ]
    }

    func started(_ index: Int, _ node: NodeProcess) {}

    func client(_ index: Int, _ node: NodeProcess) -> NodeClient {
        let files = TLSFiles(
            certificateChain: authority.certificate(of: "drill"),
            privateKey: authority.key(of: "drill"),
            trustRoots: authority.roots,
            members: [:]
        )
        let host = Self.address(index, .control)
        return NodeClient(NetworkAddress(host: host, port: Self.httpPort), tls: files)
    }

    func setLinks(of index: Int, _ state: LinkState) throws {
        let port = Cable.data.port(index)
        switch state {
        case .open: try Self.ip("link", "set", port, "master", Cable.data.bridge, "up")
        // The cable is pulled, or the switch has forgotten its port.
        case .cut: try Self.ip("link", "set", port, "down")
        case .silent: try Self.ip("link", "set", port, "nomaster")
        }
    }
}
