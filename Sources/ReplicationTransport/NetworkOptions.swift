package import Replication
package import StorageEngine

/// Where a member can be reached.
package struct NetworkAddress: Hashable, Sendable, CustomStringConvertible {
    /// A name or a number.
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    package var description: String { "\(host):\(port)" }

    /// Whether it never leaves this machine.
    package var isLoopback: Bool {
        host == "localhost" || host == "::1" || host == "127.0.0.1"
    }
}

/// How a member's network works.
package struct NetworkOptions: Sendable {
    /// Who may say what they are.
    package enum Security: Sendable {
        /// Both sides show certificates.
        case tls(TLSFiles)
        /// Anybody on this machine is believed; only on loopback.
        case insecure
    }

    /// Where connections are accepted; port 0 is any that is free.
    package var listen: NetworkAddress
    /// The other members.
    package var peers: [UniqueID: NetworkAddress]
    package var security: Security
    package var limits = NetworkLimits()
    /// How many threads serve connections.
    package var threadCount = 1

    package init(
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
package struct NetworkLimits: Hashable, Sendable {
    package var wire = WireLimits()
    /// The most bytes of packets that wait for one member; beyond, packets are dropped.
    package var outgoingSizeMax = 64 << 20
    /// The most bytes of unfinished packets from all connections together.
    package var incomingSizeMax = 512 << 20
    /// The most accepted connections: all of them, from one address, and those that have not said
    /// yet who they are.
    package var connectionsMax = 256
    package var connectionsPerAddressMax = 128
    package var unauthenticatedMax = 32
    /// How long a connection may take until both sides have greeted.
    package var handshakeTime: Int64 = 5_000
    /// How often a side says that it is there, when it has nothing else to say.
    package var heartbeatInterval: Int64 = 1_000
    /// How long the other side may be silent.
    package var silenceMax: Int64 = 5_000
    /// The first and the longest pause before a member is dialed again.
    package var redialPause: Int64 = 50
    package var redialPauseMax: Int64 = 2_000

    package init() {}

    func check() throws(EngineError) {
        guard WireFormat.bodySizes.contains(wire.bodySizeMax) else {
            throw .invalidArgument(
                "a frame's body is \(WireFormat.bodySizes) bytes, found \(wire.bodySizeMax)"
            )
        }
        let counts = [connectionsMax, connectionsPerAddressMax, unauthenticatedMax]
        let times = [handshakeTime, heartbeatInterval, redialPause, redialPauseMax - redialPause]
        guard wire.payloadSizeMax > 0, outgoingSizeMax > 0, incomingSizeMax > 0,
            counts.allSatisfy({ $0 > 0 }), times.allSatisfy({ $0 >= 0 }), heartbeatInterval > 0,
            silenceMax > heartbeatInterval
        else { throw .invalidArgument("a limit of the network is not positive") }
    }
}
