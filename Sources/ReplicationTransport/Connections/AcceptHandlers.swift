package import NIOCore

/// Finds out before TLS does that somebody does not speak it.
final class PlaintextGuard: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// What each TLS connection begins with: a record of the handshake.
    private static let handshakeRecord: UInt8 = 22

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = Self.unwrapInboundIn(data)
        guard bytes.getInteger(at: bytes.readerIndex) == Self.handshakeRecord else {
            context.fireErrorCaught(LinkFailure.plaintext)
            return
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

/// Closes a connection for which there is no room, before anything is done for it.
package final class RefusingHandler: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer

    package init() {}

    package func channelActive(context: ChannelHandlerContext) { context.close(promise: nil) }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
