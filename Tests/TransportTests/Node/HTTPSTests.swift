import NIOCore
import NIOPosix
import NIOSSL
import StorageEngine
import Testing

@testable import NodeService
@testable import ReplicationTransport

/// With TLS, the name of a client's certificate says what it may do.
@Suite(.timeLimit(.minutes(2))) struct HTTPSTests {
    private let authority: TestAuthority
    private let node: TestNode

    init() throws {
        let authority = try TestAuthority()
        for name in ["server", "reader", "owner", "guest"] {
            try authority.issue(name, name: "DNS:\(name).test")
        }
        self.authority = authority
        node = try TestNode { options in
            options.tls = authority.files("server", members: [:])
            options.access = HTTPAccess(names: ["reader.test": .read, "owner.test": .admin])
        }
    }

    /// Collects what comes until the connection ends.
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = NIOCore.ByteBuffer

        private let promise: EventLoopPromise<[UInt8]>
        private var bytes: [UInt8] = []

        init(_ promise: EventLoopPromise<[UInt8]>) { self.promise = promise }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes.append(contentsOf: Self.unwrapInboundIn(data).readableBytesView)
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }

        func channelInactive(context: ChannelHandlerContext) { promise.succeed(bytes) }
    }

    /// Sends one request with a certificate, or none; returns what came back.
    private func send(_ method: String, _ path: String, as client: String?) async throws -> [UInt8]
    {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .noHostnameVerification
        configuration.trustRoots = .file(authority.roots)
        if let client {
            let contexts = try NIOSSLCertificate.fromPEMFile(authority.path("\(client).pem"))
            configuration.certificateChain = contexts.map { .certificate($0) }
            configuration.privateKey = .privateKey(
                try NIOSSLPrivateKey(file: authority.path("\(client).key"), format: .pem)
            )
        }
        let context = try NIOSSLContext(configuration: configuration)
        let group = MultiThreadedEventLoopGroup.singleton
        let promise = group.next().makePromise(of: [UInt8].self)
        let channel = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: nil)
                    )
                    try pipeline.addHandler(Collector(promise))
                }
            }
            .connect(host: "127.0.0.1", port: node.server.port).get()
        let request = "\(method) \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        channel.writeAndFlush(NIOCore.ByteBuffer(string: request), promise: nil)
        return try await promise.futureResult.get()
    }

    @Test func theNameOfACertificateDecides() async throws {
        let expected: [(String, String, [Int])] = [
            ("GET", "/health", [200, 200, 200]), ("GET", "/status", [200, 200, 401]),
            ("DELETE", "/kv/a", [403, 200, 401]), ("POST", "/promote", [403, 200, 401]),
        ]

        for (method, path, statuses) in expected {
            var found: [Int] = []
            for client in ["reader", "owner", "guest"] {
                found.append(try TestAnswer(await send(method, path, as: client)).status)
            }
            #expect(found == statuses, "\(method) \(path)")
        }
    }

    @Test func withoutACertificateNothingIsAnswered() async throws {
        #expect(try await send("GET", "/health", as: nil).isEmpty)

        let plain = try RawPeer.connected(to: node.server.port)
        try plain.write(Array("GET /health HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(await !plain.readToEnd().contains(UInt8(ascii: "{")))
    }

    @Test func aCallerBelievesWhoHasTheNameThatItAskedFor() async throws {
        var call = HTTPCall(
            address: NetworkAddress(host: "127.0.0.1", port: node.server.port),
            token: nil
        )
        call.tls = authority.files("reader", members: [:])
        let caller = call
        await #expect(throws: EngineError.self) { try await caller.send("GET", "/status") }

        try authority.issue("server", name: "DNS:server.test,IP:127.0.0.1")
        try node.server.reload()

        #expect(try await caller.send("GET", "/status").status == 200)
        #expect(try await caller.send("POST", "/promote").status == 403)
    }

    @Test func certificatesAreReloaded() async throws {
        try authority.issue("server", name: "DNS:server.test", days: -1)
        try node.server.reload()
        #expect(try await send("GET", "/health", as: "reader").isEmpty, "the client refuses it")

        try authority.issue("server", name: "DNS:server.test")
        try node.server.reload()
        #expect(try TestAnswer(await send("GET", "/health", as: "reader")).status == 200)
    }
}
