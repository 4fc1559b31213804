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
    private let unused = Condition()
    // What the lock protects.
    private var stage = Stage.idle
    private var queue: OutgoingQueue
    private var connection: NIOLoopBound<ConnectionHandler>?
    /// Whether the connection was told that there is something, and did not look yet.
    private var isAwake = false
    /// Whether it is to prepare more when it has sent what there is.
    private var isAsked = false
    private var pause: Int64
    private var nextDial = NIODeadline.uptimeNanoseconds(0)
    /// Those who give the event loops something to do.
    private var userCount = 0
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

    private typealias Handler = NIOLoopBound<ConnectionHandler>
    private enum Step { case nothing, drop, dial, wake(Handler) }

    /// See ``Links``.
    func send(_ packet: PacketEncoder) -> Wake? {
        let step: Step = lock.with {
            if isStopped || (stage == .idle && NIODeadline.now() < nextDial) { return .drop }
            guard queue.append(packet) else { return .drop }
            if stage == .idle {
                stage = .dialing
                return .dial
            }
            guard stage == .open, let connection = awaken() else { return .nothing }
            return .wake(connection)
        }
        switch step {
        case .nothing: break
        case .drop: network.meter.dropped(packets: 1)
        case .dial: useLoops { network.dial(DialedConnection(link: self, network: network)) }
        case .wake(let connection): return waking(connection)
        }
        return nil
    }

    /// See ``Links``.
    func ask() -> Wake? {
        lock.with {
            guard !isStopped, stage == .open else { return nil }
            isAsked = true
            return awaken().map { waking($0) } ?? {}
        }
    }

    /// The connection, if it must be told now that there is something. Needs the lock.
    private func awaken() -> Handler? {
        defer { isAwake = true }
        return isAwake ? nil : connection
    }

    private func waking(_ connection: Handler) -> Wake {
        { [self] in useLoops { connection.execute { $0.pump() } } }
    }

    /// Gives the event loops something to do, unless they may have ended.
    private func useLoops(_ body: () -> Void) {
        let mayUse = lock.with {
            guard !isStopped else { return false }
            userCount += 1
            return true
        }
        guard mayUse else { return }
        body()
        lock.with {
            userCount -= 1
            if isStopped { unused.signal() }
        }
    }

    /// Has the next packet dial at once.
    func endPause() {
        lock.with {
            pause = limits.redialPause
            nextDial = .now()
        }
    }

    /// The event loops may end once this has returned. Not for their own threads.
    func stop() {
        let connection = lock.with {
            isStopped = true
            while userCount > 0 { unused.wait(lock) }
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
            if packet == nil, !isAsked { isAwake = false }
            return packet
        }
    }

    /// Prepares packets, here or on another thread, if it was asked to; returns whether it was.
    func prepare(here: Bool) -> Bool {
        let wasAsked = lock.with {
            defer { isAsked = false }
            return isAsked
        }
        if wasAsked { network.prepare(here: here) }
        return wasAsked
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
        // Nobody else was told of what it was asked for.
        _ = prepare(here: false)
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

    func prepare(here: Bool) -> Bool { link.prepare(here: here) }

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
