internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
package import ReplicationTransport
package import StorageEngine

/// One request to a node, for the command line.
package struct HTTPCall: Sendable {
    package struct Answer: Sendable {
        package let status: Int
        package let body: [UInt8]
    }

    private static let bodySizeMax = 16 << 20

    package var address: NetworkAddress
    package var token: String?
    /// Asks over TLS, and whoever answers has the host's name; `nil` for plain HTTP.
    package var tls: TLSFiles?
    /// How long an answer may take, in milliseconds.
    package var timeLimit: Int64 = 60_000

    package init(address: NetworkAddress, token: String?) {
        self.address = address
        self.token = token
    }

    /// - Throws: `io` when the node cannot be reached or does not answer in time,
    ///   `invalidArgument` when the files of certificates cannot be used.
    package func send(
        _ method: String,
        _ path: String,
        body: [UInt8] = []
    ) async throws(EngineError) -> Answer {
        let context = try tls.map { files throws(EngineError) in try TLSContexts.caller(files) }
        do {
            return try await exchange(head(method, path, body.count), body, context)
        } catch {
            throw EngineError(.io, "asking the node at \(address): \(error)")
        }
    }

    private func head(_ method: String, _ path: String, _ bodySize: Int) -> HTTPRequestHead {
        var head = HTTPRequestHead(
            version: .http1_1,
            method: HTTPMethod(rawValue: method),
            uri: path
        )
        head.headers.add(name: "Host", value: "\(address)")
        head.headers.add(name: "Connection", value: "close")
        head.headers.add(name: "Content-Length", value: "\(bodySize)")
        if let token { head.headers.add(name: "Authorization", value: "Bearer \(token)") }
        return head
    }

    private func exchange(
        _ head: HTTPRequestHead,
        _ body: [UInt8],
        _ context: NIOSSLContext?
    ) async throws -> Answer {
        let group = MultiThreadedEventLoopGroup.singleton
        let promise = group.next().makePromise(of: Answer.self)
        let limit = timeLimit
        let address = address
        do {
            _ = try await ClientBootstrap(group: group)
                .connectTimeout(.milliseconds(timeLimit))
                .connect(host: address.host, port: address.port)
                .flatMapThrowing { channel in
                    let pipeline = channel.pipeline.syncOperations
                    if let context {
                        let isNumber = channel.remoteAddress?.ipAddress == address.host
                        try pipeline.addHandler(
                            NIOSSLClientHandler(
                                context: context,
                                serverHostname: isNumber ? nil : address.host
                            )
                        )
                    }
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(
                        AnswerHandler((head, body), promise, timeLimit: .milliseconds(limit))
                    )
                }.get()
        } catch {
            promise.fail(error)
        }
        return try await promise.futureResult.get()
    }

    private struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Thread safety: none; everything happens on the channel's event loop.
    private final class AnswerHandler: ChannelInboundHandler {
        typealias InboundIn = HTTPClientResponsePart
        typealias OutboundOut = HTTPClientRequestPart

        private let request: (head: HTTPRequestHead, body: [UInt8])
        private let promise: EventLoopPromise<Answer>
        private let timeLimit: TimeAmount
        private var status = 0
        private var body: [UInt8] = []
        private var timer: Scheduled<Void>?

        init(
            _ request: (head: HTTPRequestHead, body: [UInt8]),
            _ promise: EventLoopPromise<Answer>,
            timeLimit: TimeAmount
        ) {
            self.request = request
            self.promise = promise
            self.timeLimit = timeLimit
        }

        func handlerAdded(context: ChannelHandlerContext) {
            let channel = context.channel
            timer = context.eventLoop.scheduleTask(in: timeLimit) { [promise] in
                promise.fail(Failure(description: "no answer in time"))
                channel.close(promise: nil)
            }
            context.write(Self.wrapOutboundOut(.head(request.head)), promise: nil)
            let body = ByteBuffer(bytes: request.body)
            context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch Self.unwrapInboundIn(data) {
            case .head(let head): status = Int(head.status.code)
            case .body(let piece):
                body.append(contentsOf: piece.readableBytesView)
                if body.count > HTTPCall.bodySizeMax { context.close(promise: nil) }
            case .end:
                promise.succeed(Answer(status: status, body: body))
                context.close(promise: nil)
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            promise.fail(error)
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) {
            timer?.cancel()
            promise.fail(Failure(description: "the connection ended before the answer"))
        }
    }
}
