internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
internal import ReplicationTransport
internal import ToolSupport

// One connection of a client: a request after another. Who asks is checked when a request's head is
// there, before anything of its body is taken; the answer is made by a task of its own, which ends
// when the client goes away.

/// A client that takes in no part of an answer for as long as a request may take is given up.
///
/// Thread safety: none; everything happens on the channel's event loop.
final class HTTPHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Stage {
        case idle
        case receiving(HTTPHead, Route)
        /// The request was refused; what is left of it is passed over.
        case refused
        case answering
    }

    private let router: Router
    private let access: HTTPAccess
    private let limits: HTTPLimits
    private let admission: HTTPAdmission
    private let tls: NIOSSLServerHandler?
    private var stage = Stage.idle
    private var body: [UInt8] = []
    private var isKeptAlive = true
    private var task: Task<Void, Never>?
    private var timer: Scheduled<Void>?
    private var context: ChannelHandlerContext?

    init(server: HTTPServer, tls: NIOSSLServerHandler?) {
        router = server.router
        access = server.access
        limits = server.limits
        admission = server.admission
        self.tls = tls
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        startTimer()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.cancel()
        task?.cancel()
        // The task has it until it ends, which may be later.
        if task == nil { dropBody() }
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        task?.cancel()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func startTimer() {
        guard let context else { return }
        timer?.cancel()
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        timer = context.eventLoop.scheduleTask(in: .milliseconds(limits.requestTime)) {
            bound.value.context?.close(promise: nil)
        }
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head): begin(head)
        case .body(let piece): take(piece)
        case .end: end()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        isKeptAlive = head.isKeepAlive
        do throws(HTTPProblem) {
            let request = try HTTPHead(
                method: head.method.rawValue,
                uri: head.uri,
                headers: head.headers.map { ($0.name, $0.value) }
            )
            let route = try router.route(request)
            let names = tls?.peerCertificate?.names ?? []
            try access.check(request, certificate: names, for: route.needed)
            if let length = request.headers["content-length"].flatMap({ Int($0) }) {
                try checkSize(length, route)
            }
            stage = .receiving(request, route)
            if request.headers["expect"]?.lowercased() == "100-continue" {
                write(.head(HTTPResponseHead(version: head.version, status: .continue)))
            }
        } catch {
            refuse(error)
        }
    }

    private func checkSize(_ size: Int, _ route: Route) throws(HTTPProblem) {
        guard size <= route.bodySizeMax else {
            throw HTTPProblem(.tooLarge, "a body here is at most \(route.bodySizeMax) bytes")
        }
    }

    private func take(_ piece: ByteBuffer) {
        guard case .receiving(_, let route) = stage else { return }
        do throws(HTTPProblem) {
            try checkSize(body.count + piece.readableBytes, route)
            guard admission.bodies.take(piece.readableBytes) else {
                throw HTTPProblem(.tooMany, "other requests take too much memory")
            }
            body.append(contentsOf: piece.readableBytesView)
        } catch {
            refuse(error)
        }
    }

    private func dropBody() {
        admission.bodies.giveBack(body.count)
        body = []
    }

    private func end() {
        timer?.cancel()
        guard case .receiving(let head, let route) = stage, let context else { return }
        guard admission.requests.take() else {
            return refuse(HTTPProblem(.tooMany, "too many requests are being answered"))
        }
        stage = .answering
        let request = HTTPRequest(head: head, body: body)
        let writer = HTTPChannelWriter(NIOLoopBound(self, eventLoop: context.eventLoop))
        let streams = admission.streams
        task = Task {
            await writer.answer(request, route, streams)
        }
    }

    /// Answers at once, and closes: what comes behind is not worth reading.
    private func refuse(_ problem: HTTPProblem) {
        stage = .refused
        isKeptAlive = false
        dropBody()
        let response = problem.response
        guard case .bytes(let bytes) = response.body else { return }
        beginAnswer(response, size: bytes.count)
        write(.body(.byteBuffer(ByteBuffer(bytes: bytes))))
        endAnswer()
    }

    // MARK: Answers

    func beginAnswer(_ response: HTTPResponse, size: Int?) {
        var headers = HTTPHeaders(response.headers)
        headers.add(name: "Content-Type", value: response.type)
        headers.add(name: "Cache-Control", value: "no-store")
        headers.add(name: "X-Content-Type-Options", value: "nosniff")
        if let size { headers.add(name: "Content-Length", value: "\(size)") }
        if !isKeptAlive { headers.add(name: "Connection", value: "close") }
        let status = HTTPResponseStatus(statusCode: response.status.rawValue)
        write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
    }

    func writeBody(_ bytes: [UInt8], _ promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
        // Whoever does not read holds a snapshot, perhaps.
        startTimer()
        promise.futureResult.whenComplete { [timer] _ in timer?.cancel() }
        context.writeAndFlush(
            Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))),
            promise: promise
        )
    }

    /// Ends the answer; the next request may come, or the connection ends.
    func endAnswer() {
        dropBody()
        if task.take() != nil { admission.requests.giveBack() }
        guard let context else { return }
        guard isKeptAlive else {
            context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
            return context.close(promise: nil)
        }
        // A request that came meanwhile begins while the end is written.
        stage = .idle
        startTimer()
        context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func write(_ part: HTTPServerResponsePart) {
        context?.write(Self.wrapOutboundOut(part), promise: nil)
        if case .head(let head) = part, head.status == .continue { context?.flush() }
    }
}

/// Brings the answer of a task to its connection.
struct HTTPChannelWriter: HTTPBodyWriter {
    private let handler: NIOLoopBound<HTTPHandler>

    init(_ handler: NIOLoopBound<HTTPHandler>) { self.handler = handler }

    func write(_ bytes: [UInt8]) async throws {
        guard !bytes.isEmpty else { return }
        try Task.checkCancellation()
        let promise = handler.eventLoop.makePromise(of: Void.self)
        handler.eventLoop.execute { [handler] in handler.value.writeBody(bytes, promise) }
        try await promise.futureResult.get()
    }

    private func begin(_ response: HTTPResponse, size: Int?) {
        handler.eventLoop.execute { [handler] in
            handler.value.beginAnswer(response, size: size)
        }
    }

    func answer(_ request: HTTPRequest, _ route: Route, _ streams: Quota) async {
        let response: HTTPResponse
        do {
            response = try await route.respond(request)
        } catch {
            response = HTTPProblem(error).response
        }
        switch response.body {
        case .bytes(let bytes):
            begin(response, size: bytes.count)
            do { try await write(bytes) } catch {}
        case .stream(let body):
            await answer(response, body, streams)
        }
        handler.eventLoop.execute { [handler] in handler.value.endAnswer() }
    }

    private func answer(
        _ response: HTTPResponse,
        _ body: @Sendable (any HTTPBodyWriter) async throws -> Void,
        _ streams: Quota
    ) async {
        guard streams.take() else {
            let refusal = HTTPProblem(.tooMany, "too many streams are open").response
            guard case .bytes(let bytes) = refusal.body else { return }
            begin(refusal, size: bytes.count)
            do { try await write(bytes) } catch {}
            return
        }
        defer { streams.giveBack() }
        begin(response, size: nil)
        do {
            try await body(self)
        } catch {
            let line = HTTPProblem(error).json.text + "\n"
            do { try await write(Array(line.utf8)) } catch {}
        }
    }
}
