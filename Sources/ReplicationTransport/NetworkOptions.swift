package import Replication
public import StorageEngine

/// Where a member can be reached.
public struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or a number.
    public var host: String
    /// From 0 to 65,535; 0 is any that is free, for whoever listens.
    public var port: Int

    /// A host and a port on it.
    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// The host, a colon, and the port; an address with colons is in brackets.
    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// Whether it never leaves this machine.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1" || host == "127.0.0.1"
    }
}

/// How a member's network works.
public struct NetworkOptions: Sendable {
    /// Who may say what they are.
    public enum Security: Sendable {
        /// Both sides show certificates.
        case tls(TLSFiles)
        /// Anybody on this machine is believed; only on loopback.
        case insecure
    }

    /// Where connections are accepted; port 0 is any that is free.
    public var listen: NetworkAddress
    /// The other members: those that are reached, and that may connect.
    public var peers: [UniqueID: NetworkAddress]
    /// How both sides know each other.
    public var security: Security
    /// What the network may take of this process.
    public var limits = NetworkLimits()
    /// How many threads serve connections.
    package var threadCount = 1

    /// A network with the default limits.
    public init(
        listen: NetworkAddress,
        peers: [UniqueID: NetworkAddress],
        security: Security
    ) {
        self.listen = listen
        self.peers = peers
        self.security = security
    }

    /// - Throws: `invalidArgument` when something is outside its limits, or plaintext would leave
    ///   the machine.
    func check() throws(EngineError) {
        if case .insecure = security {
            for address in [listen] + peers.values.sorted(by: { $0.description < $1.description })
            where !address.isLoopback {
                throw .invalidArgument(
                    "connections without TLS are for loopback only, found \(address)"
                )
            }
        }
        for address in [listen] + peers.values where !(0...65_535).contains(address.port) {
            throw .invalidArgument("a port is 0 to 65535, found \(address)")
        }
        guard threadCount > 0 else { throw .invalidArgument("at least one thread is needed") }
        try limits.check()
    }
}

/// What the network may take of this process. Times are in milliseconds.
public struct NetworkLimits: Hashable, Sendable {
    package var wire = WireLimits()
    /// The most bytes of packets that wait for one member; beyond, packets are dropped.
    public var outgoingSizeMax = 64 << 20
    /// The most bytes of unfinished packets from all connections together.
    public var incomingSizeMax = 512 << 20
    /// The most bytes of whole packets from one member that were not taken yet; whoever sends more
    /// loses its connection. A single packet is never too large.
    public var inboxSizeMax = 64 << 20
    /// The most whole packets from one member that were not taken yet.
    public var inboxCountMax = 16_384
    /// The most accepted connections.
    public var connectionsMax = 256
    /// The most accepted connections from one address.
    public var connectionsPerAddressMax = 128
    /// The most accepted connections that have not said yet who they are.
    public var unauthenticatedMax = 32
    /// How long a connection may take until both sides have greeted.
    public var handshakeTime: Int64 = 5_000
    /// How often a side says that it is there, when it has nothing else to say.
    public var heartbeatInterval: Int64 = 1_000
    /// How long the other side may be silent.
    public var silenceMax: Int64 = 5_000
    /// The first pause before a member is dialed again; it doubles each time.
    public var redialPause: Int64 = 50
    /// The longest pause before a member is dialed again.
    public var redialPauseMax: Int64 = 2_000

    /// The limits that are right for most.
    public init() {}

    func check() throws(EngineError) {
        guard WireFormat.bodySizes.contains(wire.bodySizeMax) else {
            throw .invalidArgument(
                "a frame's body is \(WireFormat.bodySizes) bytes, found \(wire.bodySizeMax)"
            )
        }
        let counts = [
            connectionsMax, connectionsPerAddressMax, unauthenticatedMax, inboxSizeMax,
            inboxCountMax,
        ]
        let times = [handshakeTime, heartbeatInterval, redialPause, redialPauseMax - redialPause]
        guard wire.payloadSizeMax > 0, outgoingSizeMax > 0, incomingSizeMax > 0,
            counts.allSatisfy({ $0 > 0 }), times.allSatisfy({ $0 >= 0 }), heartbeatInterval > 0,
            silenceMax > heartbeatInterval
        else { throw .invalidArgument("a limit of the network is not positive") }
    }
}
