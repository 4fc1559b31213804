@testable import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// A member's network, what it received and what it told.
final class TestMember: Sendable {
    let id: UniqueID
    let links: NetworkLinks
    let events: Stream<NetworkEvent>
    let packets: Stream<(packet: Packet, sender: UniqueID)>

    /// What uses the network.
    struct Host: Sendable {
        /// `nil`: packets are kept for the test.
        var take: PacketTaker?
        var prepare: @Sendable (NetworkLinks, _ here: Bool) -> Void = { _, _ in }
    }

    /// What a network's threads hand over to a test, in order.
    final class Stream<Element: Sendable>: Sendable {
        let continuation: AsyncStream<Element>.Continuation
        private let stream: AsyncStream<Element>

        init() { (stream, continuation) = AsyncStream.makeStream() }

        /// Waits for the next element for which a condition holds; those before it are dropped.
        func first(where condition: (Element) -> Bool) async throws -> Element {
            for await element in stream where condition(element) { return element }
            throw CancellationError()
        }

        func next() async throws -> Element { try await first { _ in true } }
    }

    static func id(_ number: UInt64) -> UniqueID { UniqueID(high: number, low: 0) }

    /// Limits under which a test need not wait long.
    static var limits: NetworkLimits {
        var limits = NetworkLimits()
        limits.handshakeTime = 100_000
        limits.heartbeatInterval = 50
        limits.silenceMax = 100_000
        limits.redialPause = 1
        limits.redialPauseMax = 20
        return limits
    }

    init(
        _ number: UInt64,
        port: Int = 0,
        peers: [UInt64: Int] = [:],
        security: NetworkOptions.Security = .insecure,
        limits: NetworkLimits = TestMember.limits,
        host: Host = Host()
    ) throws {
        id = Self.id(number)
        var addresses: [UniqueID: NetworkAddress] = [:]
        for (peer, port) in peers {
            addresses[Self.id(peer)] = NetworkAddress(host: "127.0.0.1", port: port)
        }
        var options = NetworkOptions(
            listen: NetworkAddress(host: "127.0.0.1", port: port),
            peers: addresses,
            security: security
        )
        options.limits = limits
        let (events, packets) = (
            Stream<NetworkEvent>(), Stream<(packet: Packet, sender: UniqueID)>()
        )
        links = try NetworkLinks.open(member: id, options: options) { event in
            events.continuation.yield(event)
        }
        let keep: PacketTaker = { packet, sender, _ in
            packets.continuation.yield((packet, sender))
            return true
        }
        links.start(host.take ?? keep) { [unowned links] here in host.prepare(links, here) }
        self.events = events
        self.packets = packets
    }

    deinit { links.stop() }

    var port: Int { links.port }

    func send(_ number: UInt64, payload: [UInt8] = [], to member: UInt64) {
        let message: Message =
            payload.isEmpty
            ? .take(Take(session: number, copy: 0, from: 0))
            : .part(
                session: number,
                CopyPart(copy: 0, index: 0, size: UInt64(payload.count), payload: 0)
            )
        links.send(Packet(message: message, payload: payload), to: Self.id(member))?()
    }

    /// Sends until something arrives: what is sent while there is no link is dropped.
    func reach(_ other: TestMember, number: UInt64 = 1) async throws {
        let other = other
        let sender = Task {
            while !Task.isCancelled {
                send(number, to: other.id.high)
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        defer { sender.cancel() }
        let id = id
        _ = try await other.packets.first { $0.packet.number == number && $0.sender == id }
    }
}

extension Packet {
    /// The number that a test sent.
    var number: UInt64? {
        switch message {
        case .take(let take): take.session
        case .part(let session, _): session
        default: nil
        }
    }
}

/// Waits for what other threads do; the time limit of the test ends it.
func eventually(_ condition: () -> Bool) async throws {
    while !condition() {
        try Task.checkCancellation()
        await Task.yield()
    }
}
