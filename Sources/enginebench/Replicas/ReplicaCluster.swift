internal import Glibc
internal import Replication
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// A leader and its followers in this process, on stores of their own, over sockets on loopback.
///
/// What a member's network delivers is taken in on the network's thread.
///
/// Thread safety: one thread makes, changes and closes it.
final class ReplicaCluster {
    private let path: String
    private let ids: [UniqueID]
    private let ports: [Int]
    private let membership: Membership
    private let authority: ReplicaAuthority?
    private let options: MemberOptions
    private var members: [Member?]
    private var networks: [NetworkLinks?]

    /// How long anything may take that must happen, in nanoseconds.
    private static let patience: UInt64 = 600_000_000_000

    /// Makes the members and opens those asked for; the first one leads.
    ///
    /// - Parameters:
    ///   - path: An empty directory.
    ///   - followers: How many voters besides the leader there are.
    ///   - engine: Options of the stores.
    ///   - authority: Issues certificates; `nil` for connections without TLS.
    ///   - opensFollowers: Whether the followers are opened, and have caught up when this returns.
    /// - Throws: ``EngineError`` or ``ToolError``.
    init(
        at path: String,
        followers: Int,
        _ engine: Engine.Options,
        authority: ReplicaAuthority? = nil,
        opensFollowers: Bool = true
    ) throws {
        self.path = path
        self.authority = authority
        let ids = (0...followers).map(Self.id)
        self.ids = ids
        ports = try Self.freePorts(ids.count)
        membership = try Membership(voters: ids, failoverFollowers: min(1, followers))
        var options = MemberOptions()
        options.engine = engine
        options.createIfMissing = true
        options.shortfall = .wait
        self.options = options
        members = ids.map { _ in nil }
        networks = ids.map { _ in nil }
        let leader = try open(0)
        try leader.bootstrap()
        guard opensFollowers else { return }
        for index in ids.indices.dropFirst() { try open(index) }
        try waitForFollowers()
    }

    /// Members are numbered from 0, the leader.
    static func id(_ index: Int) -> UniqueID { UniqueID(high: UInt64(index) + 1, low: 1) }

    var leader: Member { get throws { try member(0) } }

    func member(_ index: Int) throws -> Member {
        guard let member = members[index] else {
            throw ToolError("measuring replication: member \(index) is not open")
        }
        return member
    }

    /// Bytes that a member's sockets have taken in.
    func receivedBytes(_ index: Int) -> UInt64 { networks[index]?.counts.receivedBytes ?? 0 }

    @discardableResult
    func open(_ index: Int) throws -> Member {
        var peers: [UniqueID: NetworkAddress] = [:]
        for (peer, port) in zip(ids, ports) where peer != ids[index] {
            peers[peer] = NetworkAddress(host: "127.0.0.1", port: port)
        }
        let network = try NetworkLinks.open(
            member: ids[index],
            options: NetworkOptions(
                listen: NetworkAddress(host: "127.0.0.1", port: ports[index]),
                peers: peers,
                security: authority.map { .tls($0.files(of: ids[index])) } ?? .insecure
            ),
            onEvent: { _ in }
        )
        do throws(EngineError) {
            let member = try Member.open(
                at: "\(path)/member-\(index)",
                id: ids[index],
                membership: membership,
                links: network,
                options: options
            )
            (members[index], networks[index]) = (member, network)
            return member
        } catch {
            network.stop()
            throw error
        }
    }

    func close(_ index: Int) throws {
        try members[index]?.close()
        (members[index], networks[index]) = (nil, nil)
    }

    func close() throws {
        for index in members.indices.reversed() { try close(index) }
    }

    // MARK: Waiting

    /// Waits until everybody follows and has all that the leader has.
    func waitForFollowers() throws {
        let leader = try leader
        for index in members.indices.dropFirst() {
            let follower = try member(index)
            try Self.wait("member \(index) has everything") {
                let end = leader.status.position
                return follower.status.activity == .following && follower.status.position == end
                    && follower.engine?.lastSequence == end.sequence
            }
        }
        try Self.wait("the leader sees its followers") { leader.status.missing.isEmpty }
    }

    /// Looks every 200 µs whether something has come to be.
    static func wait(_ what: String, until condition: () throws -> Bool) throws {
        let end = Clock.now + patience
        while try !condition() {
            guard Clock.now < end else { throw ToolError("measuring replication: never: \(what)") }
            usleep(200)
        }
    }

    // MARK: Ports

    /// Ports of loopback that are free now: who dials whom must be known before anybody listens.
    private static func freePorts(_ count: Int) throws -> [Int] {
        var sockets: [Int32] = []
        defer { for descriptor in sockets { Glibc.close(descriptor) } }
        return try (0..<count).map { _ in
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw ToolError.system("making a socket", errno: errno) }
            sockets.append(descriptor)
            return try freePort(descriptor)
        }
    }

    private static func freePort(_ descriptor: Int32) throws -> Int {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let failed = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, size) != 0
                    || getsockname(descriptor, pointer, &size) != 0
            }
        }
        guard !failed else { throw ToolError.system("finding a free port", errno: errno) }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
