internal import NIOCore
internal import NIOPosix
internal import NIOSSL
package import Replication
package import StorageEngine

// The network between members: TCP, with TLS on both sides. Each member accepts connections from
// the others, and dials each of them for what it has to say; `WireFormat` says what goes through.
//
// (1) Who sends is known before anything is handed on: by certificate, and by the allow-list from
//     certificate names to members. Without TLS whoever is on this machine is believed.
// (2) A member has one accepted connection; a newer one replaces it, for the old one may be half
//     open.
// (3) Everything that another side can make this one hold is bounded: connections, of all, of an
//     address, of those that did not say who they are; bytes of unfinished packets; packets that
//     this side has not taken yet, or that wait for a member that does not read.
// (4) Packets are handed on by the inbox, by the network's own threads only where whoever takes
//     them need not wait. Whoever sends never waits, nor does whoever prepares what is sent.

/// Links to the other members over TCP and TLS. They must be stopped before they are dropped.
///
/// Thread safety: every method may be called from any thread; `stop` not by the closures.
package final class NetworkLinks: Links, @unchecked Sendable {
    /// This member.
    package let member: UniqueID
    /// Where connections are accepted.
    package let port: Int

    let options: NetworkOptions
    let admission: Admission
    let meter = NetworkMeter()
    private let inbox: Inbox
    private let group: MultiThreadedEventLoopGroup
    private let server: any Channel
    private let onEvent: @Sendable (NetworkEvent) -> Void
    private let identity: Identity
    private let lock = Lock()
    // What the lock protects.
    private var links: [UniqueID: PeerLink] = [:]
    private var accepted: [UniqueID: AcceptedConnection] = [:]
    private var preparing: (@Sendable (_ here: Bool) -> Void)?
    private var isStopped = false

    /// The certificates in use; `nil` without TLS.
    private final class Identity: @unchecked Sendable {
        private let lock = Lock()
        private var current: TLSContexts?

        init(_ contexts: TLSContexts?) { current = contexts }

        var contexts: TLSContexts? { lock.with { current } }

        func replace(_ contexts: TLSContexts) { lock.with { current = contexts } }
    }

    /// Binds the address; nobody is accepted before ``start(_:prepare:)``.
    ///
    /// - Parameters:
    ///   - member: This member.
    ///   - options: How the network works.
    ///   - onEvent: Is told what happens, by the network's threads; it must not block.
    /// - Returns: The links.
    /// - Throws: `invalidArgument` for options or certificates that cannot be, `io` when the
    ///   address cannot be bound or a file not be read.
    package static func open(
        member: UniqueID,
        options: NetworkOptions,
        onEvent: @escaping @Sendable (NetworkEvent) -> Void
    ) throws(EngineError) -> NetworkLinks {
        try options.check()
        let contexts = try contexts(options.security)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: options.threadCount)
        let door = Door()
        let server: any Channel
        do {
            server = try bind(options.listen, group, door)
        } catch {
            shutDown(group)
            throw EngineError(.io, "binding \(options.listen): \(error)")
        }
        let links = NetworkLinks(member, options, (group, server), contexts, onEvent)
        door.open(links)
        return links
    }

    private init(
        _ member: UniqueID,
        _ options: NetworkOptions,
        _ sockets: (group: MultiThreadedEventLoopGroup, server: any Channel),
        _ contexts: TLSContexts?,
        _ onEvent: @escaping @Sendable (NetworkEvent) -> Void
    ) {
        self.member = member
        self.options = options
        self.onEvent = onEvent
        group = sockets.group
        server = sockets.server
        port = sockets.server.localAddress?.port ?? options.listen.port
        admission = Admission(limits: options.limits)
        inbox = Inbox(
            sizeMax: options.limits.inboxSizeMax,
            countMax: options.limits.inboxCountMax
        )
        identity = Identity(contexts)
        for (peer, address) in options.peers where peer != member {
            links[peer] = PeerLink(member: peer, address: address, network: self)
        }
    }

    private static func contexts(
        _ security: NetworkOptions.Security
    ) throws(EngineError) -> TLSContexts? {
        guard case .tls(let files) = security else { return nil }
        return try TLSContexts(files)
    }

    // MARK: Links

    package func start(
        _ deliver: @escaping PacketTaker,
        prepare: @escaping @Sendable (_ here: Bool) -> Void
    ) {
        let isFirst = lock.with {
            defer { preparing = prepare }
            return preparing == nil
        }
        precondition(isFirst, "links are started once")
        inbox.start(deliver)
        server.setOption(.autoRead, value: true).whenFailure { _ in }
    }

    package func send(_ packet: Packet, to member: UniqueID) -> Wake? {
        let link = lock.with { links[member] }
        do throws(WireFailure) {
            let packet = try PacketEncoder(packet, limits: options.limits.wire)
            if let link { return link.send(packet) }
        } catch {
            report(.notSent(member, error))
        }
        meter.dropped(packets: 1)
        return nil
    }

    package func ask(_ member: UniqueID) -> Wake? {
        lock.with { links[member] }?.ask()
    }

    /// Prepares what links were asked for, or has another thread do it.
    func prepare(here: Bool) { lock.with { preparing }?(here) }

    /// Ends all connections and waits until the threads have ended. Nothing is delivered
    /// afterwards. Must not be called by the closures.
    package func stop() {
        let (wasStopped, links) = lock.with {
            defer { isStopped = true }
            return (isStopped, Array(self.links.values))
        }
        guard !wasStopped else { return }
        for link in links { link.stop() }
        NetworkLinks.shutDown(group)
        inbox.end()
    }

    /// Reads the certificates again, for connections from now on; those that there are go on.
    ///
    /// - Throws: `invalidArgument` or `io` when they cannot be used; those of before stay.
    package func reload() throws(EngineError) {
        guard let contexts = try NetworkLinks.contexts(options.security) else { return }
        identity.replace(contexts)
        report(.reloaded)
    }

    /// What went through since ``open(member:options:onEvent:)``.
    package var counts: NetworkCounts { meter.counts }

    /// The members that take packets, and those that packets come from.
    package var connected: (outgoing: Set<UniqueID>, incoming: Set<UniqueID>) {
        let (links, accepted) = lock.with { (self.links, self.accepted) }
        return (Set(links.filter { $0.value.isOpen }.keys), Set(accepted.keys))
    }

    func report(_ event: NetworkEvent) { onEvent(event) }

    // MARK: Accepting

    /// Stands in for the network until it is there: the server needs to know whom to ask.
    private final class Door: @unchecked Sendable {
        private let lock = Lock()
        private weak var network: NetworkLinks?

        func open(_ network: NetworkLinks) { lock.with { self.network = network } }

        func accept(_ channel: any Channel) throws {
            guard let network = lock.with({ network }) else {
                return try channel.pipeline.syncOperations.addHandler(RefusingHandler())
            }
            try network.accept(channel)
        }
    }

    private static func bind(
        _ address: NetworkAddress,
        _ group: MultiThreadedEventLoopGroup,
        _ door: Door
    ) throws -> any Channel {
        try ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try door.accept(channel) }
            }
            .bind(host: address.host, port: address.port).wait()
    }

    private func accept(_ channel: any Channel) throws {
        let address = channel.remoteAddress?.ipAddress ?? "unknown"
        let pipeline = channel.pipeline.syncOperations
        guard admission.enter(address) else {
            meter.refusedConnection()
            report(.refused(address: address, .tooManyConnections))
            return try pipeline.addHandler(RefusingHandler())
        }
        do {
            let tls = identity.contexts.map { NIOSSLServerHandler(context: $0.server) }
            if let tls {
                try pipeline.addHandler(PlaintextGuard())
                try pipeline.addHandler(tls)
            }
            let owner = AcceptedConnection(network: self, address: address)
            try pipeline.addHandler(ConnectionHandler(owner: owner, network: self, tls: tls))
        } catch {
            // It closed already; its handler, which would say so, is not there.
            admission.leave(address, wasAuthenticated: false)
            throw error
        }
    }

    /// A member has a connection; an older one of it is of no use any more. Who comes can be
    /// reached, most likely.
    func accepted(_ connection: AcceptedConnection, from member: UniqueID) {
        let (older, link) = lock.with {
            defer { accepted[member] = connection }
            return (accepted[member], links[member])
        }
        older?.replace()
        link?.endPause()
        report(.accepted(member))
    }

    /// Takes what came through a connection; returns whether there was room for it. A connection
    /// that was replaced brings nothing any more.
    func take(
        _ packet: Packet,
        from member: UniqueID,
        through connection: AcceptedConnection
    ) -> Bool {
        guard lock.with({ accepted[member] === connection && !isStopped }) else { return true }
        return inbox.take(packet, from: member)
    }

    func ended(
        _ connection: AcceptedConnection,
        of member: UniqueID?,
        address: String,
        _ failure: LinkFailure
    ) {
        guard let member else {
            meter.refusedConnection()
            return report(.refused(address: address, failure))
        }
        lock.with {
            if accepted[member] === connection { accepted[member] = nil }
        }
        report(.lost(member, failure))
    }

    // MARK: Dialing

    func dial(_ connection: DialedConnection) {
        let address = connection.link.address
        let contexts = identity.contexts
        let network = self
        ClientBootstrap(group: group)
            .connectTimeout(.milliseconds(options.limits.handshakeTime))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(low: 256 << 10, high: 1 << 20)
            )
            .connect(host: address.host, port: address.port)
            .whenComplete { result in
                switch result {
                case .success(let channel): network.add(connection, contexts, to: channel)
                case .failure(let error): connection.ended(.unreachable("\(error)"))
                }
            }
    }

    /// Of several attempts at the addresses of one name only the one that connected is told.
    private func add(
        _ connection: DialedConnection,
        _ contexts: TLSContexts?,
        to channel: any Channel
    ) {
        let pipeline = channel.pipeline.syncOperations
        do {
            let tls = try contexts.map {
                try NIOSSLClientHandler(context: $0.client, serverHostname: nil)
            }
            if let tls { try pipeline.addHandler(tls) }
            try pipeline.addHandler(
                ConnectionHandler(owner: connection, network: self, tls: tls)
            )
        } catch {
            channel.close(promise: nil)
            connection.ended(.handshakeFailed("\(error)"))
        }
    }

    private static func shutDown(_ group: MultiThreadedEventLoopGroup) {
        do {
            try group.syncShutdownGracefully()
        } catch {
            preconditionFailure("an event loop did not end: \(error)")
        }
    }
}
