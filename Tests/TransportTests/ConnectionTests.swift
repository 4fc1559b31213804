import NIOCore
import NIOEmbedded
@testable import Replication
import StorageEngine
import Testing

@testable import ReplicationTransport

/// One connection, without a socket.
@Suite struct ConnectionTests {
    /// The other side is gone as soon as it has greeted.
    @Test func aConnectionThatDiesAtItsGreetingIsNotOpened() throws {
        let member = try TestMember(1)
        let owner = RecordingOwner()
        let channel = EmbeddedChannel()
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(DyingHandler())
        try pipeline.addHandler(
            ConnectionHandler(owner: owner, network: member.links, tls: nil)
        )
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        let greeting = Greeting(member: TestMember.id(2), bodySizeMax: 1 << 20)

        try channel.writeInbound(NIOCore.ByteBuffer(bytes: greeting.encoded()))

        #expect(owner.calls == ["secured", "greeted", "ended closed"])
        #expect(!channel.isActive)
    }
}

/// Closes as soon as something is written.
private final class DyingHandler: ChannelOutboundHandler {
    typealias OutboundIn = NIOCore.ByteBuffer

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.ioOnClosedChannel)
        context.close(promise: nil)
    }
}

/// Thread safety: belongs to its test.
private final class RecordingOwner: ConnectionOwner, @unchecked Sendable {
    private(set) var calls: [String] = []
    let hasDialed = false

    func secured(_ names: [String]) { calls.append("secured") }
    func greeted(_ greeting: Greeting) { calls.append("greeted") }
    func opened(_ connection: NIOLoopBound<ConnectionHandler>) { calls.append("opened") }
    func received(_ packet: Packet) { calls.append("received") }
    func nextPacket() -> PacketEncoder? { nil }
    func prepare(here: Bool) -> Bool { false }
    func ended(_ failure: LinkFailure) { calls.append("ended \(failure)") }
}
