import NIOCore
import NIOPosix

// A member reaches another one through a proxy of its own, so that what one says to the other can
// be cut without the rights that cutting a network takes.

/// Carries connections to a port of this machine, or does not.
///
/// Thread safety: every method may be called from any thread but the proxy's.
final class LinkProxy: @unchecked Sendable {
    /// Where it listens, on 127.0.0.1.
    let port: Int
    private let server: any Channel
    private let loop: any EventLoop
    private let core: Core

    /// What belongs to the loop.
    private final class Core: @unchecked Sendable {
        var state = LinkState.open
        var target = 0
        var channels: [ObjectIdentifier: any Channel] = [:]
    }

    init(on loop: any EventLoop) throws {
        self.loop = loop
        let core = Core()
        self.core = core
        server = try ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 64)
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in LinkProxy.accept(channel, core) }
            .bind(host: "127.0.0.1", port: 0).wait()
        port = server.localAddress?.port ?? 0
    }

    func stop() throws {
        try set(.cut)
        try server.close().wait()
    }

    /// Where connections go from now on.
    func setTarget(_ port: Int) throws {
        let core = core
        try loop.submit { core.target = port }.wait()
    }

    func set(_ state: LinkState) throws {
        let core = core
        try loop.submit {
            core.state = state
            for channel in core.channels.values {
                switch state {
                case .cut: channel.close(promise: nil)
                case .silent: channel.setOption(.autoRead, value: false).whenFailure { _ in }
                case .open: channel.setOption(.autoRead, value: true).whenFailure { _ in }
                }
            }
        }.wait()
    }

    private static func accept(_ channel: any Channel, _ core: Core) -> EventLoopFuture<Void> {
        guard core.state != .cut else { return channel.close() }
        let accepted = NIOLoopBound(Relay(), eventLoop: channel.eventLoop)
        return ClientBootstrap(group: channel.eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connect(host: "127.0.0.1", port: core.target)
            .flatMapThrowing { other in
                let relay = Relay()
                relay.other = channel
                accepted.value.other = other
                try channel.pipeline.syncOperations.addHandler(accepted.value)
                try other.pipeline.syncOperations.addHandler(relay)
                for end in [channel, other] {
                    add(end, core)
                    guard core.state == .open else { continue }
                    end.setOption(.autoRead, value: true).whenFailure { _ in }
                }
                // It was being made when the links were ended.
                if core.state == .cut { channel.close(promise: nil) }
            }
    }

    private static func add(_ channel: any Channel, _ core: Core) {
        let id = ObjectIdentifier(channel)
        core.channels[id] = channel
        channel.closeFuture.whenComplete { _ in core.channels[id] = nil }
    }

    /// Hands on what one end says to the other.
    ///
    /// Thread safety: none; everything happens on the proxy's loop.
    private final class Relay: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        var other: (any Channel)?

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            other?.writeAndFlush(Self.unwrapInboundIn(data), promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            other?.close(promise: nil)
            other = nil
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}
