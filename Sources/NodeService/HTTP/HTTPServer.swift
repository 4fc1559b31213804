internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
package import ReplicationTransport
internal import ServiceLifecycle
package import StorageEngine

/// Serves a node over HTTP until the service is told to stop.
///
/// Thread safety: every method may be called from any thread or task.
package final class HTTPServer: Service, @unchecked Sendable {
    /// Where and for whom.
    package struct Options: Sendable {
        package var address: NetworkAddress
        package var access = HTTPAccess()
        package var limits = HTTPLimits()
        /// With TLS, clients show certificates, too.
        package var tls: TLSFiles?

        package init(address: NetworkAddress) { self.address = address }

        /// - Throws: `invalidArgument` when anybody on the network could do anything, or tokens
        ///   would go over it in the clear.
        func check() throws(EngineError) {
            guard !address.isLoopback else { return }
            guard tls != nil else {
                throw .invalidArgument(
                    "HTTP without TLS is for loopback only, found \(address)"
                )
            }
            guard !access.isOpen else {
                throw .invalidArgument(
                    "HTTP beyond loopback needs tokens or names of certificates"
                )
            }
        }
    }

    let router: Router
    let access: HTTPAccess
    let limits: HTTPLimits
    let admission: HTTPAdmission
    private let tlsFiles: TLSFiles?
    private let lock = Lock()
    // What the lock protects.
    private var contexts: TLSContexts?
    private var channel: (any Channel)?
    private var clients: [ObjectIdentifier: any Channel] = [:]

    /// Binds the address and begins to serve.
    ///
    /// - Throws: `invalidArgument` for options that cannot be, `io` when the address cannot be
    ///   bound.
    package init(_ node: any Node, _ options: Options) throws(EngineError) {
        try options.check()
        router = Router(node)
        access = options.access
        limits = options.limits
        admission = HTTPAdmission(limits: options.limits)
        tlsFiles = options.tls
        contexts = try options.tls.map { files throws(EngineError) in try TLSContexts(files) }
        do {
            let channel = try bootstrap()
                .bind(host: options.address.host, port: options.address.port).wait()
            lock.with { self.channel = channel }
        } catch {
            throw EngineError(.io, "binding \(options.address): \(error)")
        }
    }

    /// Where it listens.
    package var port: Int { lock.with { channel }?.localAddress?.port ?? 0 }

    private func bootstrap() -> ServerBootstrap {
        ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.socketOption(.so_keepalive), value: 1)
            .childChannelInitializer { [weak self] channel in
                channel.eventLoop.makeCompletedFuture { try self?.accept(channel) }
            }
    }

    private func accept(_ channel: any Channel) throws {
        let pipeline = channel.pipeline.syncOperations
        guard admission.connections.take() else {
            return try pipeline.addHandler(RefusingHandler())
        }
        let id = ObjectIdentifier(channel)
        lock.with { clients[id] = channel }
        channel.closeFuture.whenComplete { [self] _ in
            lock.with { clients[id] = nil }
            admission.connections.giveBack()
        }
        let tls = lock.with { contexts }.map { NIOSSLServerHandler(context: $0.server) }
        if let tls { try pipeline.addHandler(tls) }
        try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
        try pipeline.addHandler(HTTPHandler(server: self, tls: tls))
    }

    /// Reads the certificates again, for connections from now on.
    package func reload() throws(EngineError) {
        guard let tlsFiles else { return }
        let contexts = try TLSContexts(tlsFiles)
        lock.with { self.contexts = contexts }
    }

    package func run() async throws {
        guard let channel = lock.with({ self.channel }) else { return }
        try await withGracefulShutdownHandler {
            try await channel.closeFuture.get()
        } onGracefulShutdown: { [self] in
            stop()
        }
    }

    /// Accepts nobody any more and ends all connections.
    package func stop() {
        let (channel, clients) = lock.with { (self.channel, Array(self.clients.values)) }
        channel?.close(promise: nil)
        for client in clients { client.close(promise: nil) }
    }
}
