internal import NIOCore
import Replication
import StorageEngine

// What one member says to another. It is dialed when there is something to say, and again when that
// fails, after a pause that doubles, or once the other has dialed; meanwhile packets are dropped.
//
//   idle ──send──▶ dialing ──greeted──▶ open ──ended──▶ idle
//                     └───────ended──────────────────────┘

/// Thread safety: every method may be called from any thread.
final class PeerLink: @unchecked Sendable {
    private enum Stage { case idle, dialing, open }

    let member: UniqueID
    let address: NetworkAddress
    /// The network has this link as long as it is there itself.
    private unowned let network: NetworkLinks
    private let limits: NetworkLimits
    private let lock = Lock()
    // What the lock protects.
    private var stage = Stage.idle
    private var queue: OutgoingQueue
    private var connection: NIOLoopBound<ConnectionHandler>?
    /// Whether the connection was told that there is something, and did not look yet.
    private var isAwake = false
    private var pause: Int64
    private var nextDial = NIODeadline.uptimeNanoseconds(0)
    private var isStopped = false

    init(member: UniqueID, address: NetworkAddress, network: NetworkLinks) {
        self.member = member
        self.address = address
        self.network = network
        limits = network.options.limits
        queue = OutgoingQueue(sizeMax: limits.outgoingSizeMax)
        pause = limits.redialPause
    }

    var isOpen: Bool { lock.with { stage == .open } }

    private enum Step { case nothing, drop, dial, wake(NIOLoopBound<ConnectionHandler>) }

    /// See ``Links``.
    func send(_ packet: PacketEncoder) -> Wake? {
        let step: Step = lock.with {
            if isStopped || (stage == .idle && NIODeadline.now() < nextDial) { return .drop }
            guard queue.append(packet) else { return .drop }
            if stage == .idle {
                stage = .dialing
                return .dial
            }
            guard stage == .open, !isAwake, let connection else { return .nothing }
            isAwake = true
            return .wake(connection)
        }
        switch step {
        case .nothing: break
        case .drop: network.meter.dropped(packets: 1)
        case .dial: network.dial(DialedConnection(link: self, network: network))
        case .wake(let connection):
            return { [self] in
                // The loops may have ended meanwhile.
                if !lock.with({ isStopped }) { connection.execute { $0.pump() } }
            }
        }
        return nil
    }

    /// Has the next packet dial at once.
    func endPause() {
        lock.with {
            pause = limits.redialPause
            nextDial = .now()
        }
    }

    func stop() {
        let connection = lock.with {
            isStopped = true
            return self.connection
        }
        connection?.execute { $0.fail(.stopping) }
    }

    // MARK: The connection's side

    func opened(_ connection: NIOLoopBound<ConnectionHandler>) {
        lock.with {
            stage = .open
            self.connection = connection
            pause = limits.redialPause
        }
    }

    func nextPacket() -> PacketEncoder? {
        lock.with {
            let packet = queue.removeFirst()
            if packet == nil { isAwake = false }
            return packet
        }
    }

    /// Returns whether the connection was open.
    func ended() -> Bool {
        let (wasOpen, dropped) = lock.with {
            let wasOpen = stage == .open
            stage = .idle
            connection = nil
            isAwake = false
            nextDial = .now() + .milliseconds(pause)
            pause = min(max(pause * 2, 1), limits.redialPauseMax)
            return (wasOpen, queue.removeAll())
        }
        network.meter.dropped(packets: dropped)
        return wasOpen
    }
}

/// One connection that a ``PeerLink`` began.
///
/// Thread safety: called on the connection's event loop; ``ended(_:)`` by anyone.
final class DialedConnection: ConnectionOwner, @unchecked Sendable {
    let hasDialed = true
    let link: PeerLink
    private let network: NetworkLinks
    private let lock = Lock()
    private var hasEnded = false

    init(link: PeerLink, network: NetworkLinks) {
        self.link = link
        self.network = network
    }

    func secured(_ names: [String]) throws(LinkFailure) {
        guard case .tls(let files) = network.options.security else { return }
        guard names.contains(where: { files.members[$0] == link.member }) else {
            throw .wrongName
        }
    }

    func greeted(_ greeting: Greeting) throws(LinkFailure) {
        guard greeting.member == link.member else { throw .wrongMember }
    }

    func opened(_ connection: NIOLoopBound<ConnectionHandler>) {
        link.opened(connection)
        network.report(.dialed(link.member))
    }

    func received(_ packet: Packet) throws(LinkFailure) {
        throw .wire(.unexpected(packet.message.frameType))
    }

    func nextPacket() -> PacketEncoder? { link.nextPacket() }

    func ended(_ failure: LinkFailure) {
        let isFirst = lock.with {
            defer { hasEnded = true }
            return !hasEnded
        }
        guard isFirst else { return }
        let wasOpen = link.ended()
        network.report(
            wasOpen ? .hungUp(link.member, failure) : .dialFailed(link.member, failure)
        )
    }
}
