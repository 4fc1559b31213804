package import Logging
internal import ServiceLifecycle
internal import StorageEngine
internal import UnixSignals

/// Closes the node when all that uses it has ended.
package struct StoreService: Service {
    private let node: any Node

    package init(_ node: any Node) { self.node = node }

    package func run() async throws {
        // A group that is cancelled stops just as well.
        do { try await gracefulShutdown() } catch {}
        try await node.close()
    }
}

/// Reads certificates again at each SIGHUP.
package struct ReloadService: Service {
    private let logger: Logger
    private let reload: @Sendable () throws -> Void

    package init(logger: Logger, reload: @escaping @Sendable () throws -> Void) {
        self.logger = logger
        self.reload = reload
    }

    package func run() async throws {
        for await _ in await UnixSignalsSequence(trapping: .sighup).cancelOnGracefulShutdown() {
            do {
                try reload()
            } catch {
                logger.error("certificates were not reloaded, the old ones stay: \(error)")
            }
        }
    }
}

/// Serves a node until SIGTERM or SIGINT, then closes it. At SIGHUP the certificates of the server
/// are read again, and whatever else the closure does.
package func serve(
    _ node: any Node,
    _ server: HTTPServer,
    logger: Logger,
    reload: @escaping @Sendable () throws -> Void = {}
) async throws {
    let reload = ReloadService(logger: logger) {
        try server.reload()
        try reload()
    }
    // The last ones stop first.
    let group = ServiceGroup(
        configuration: ServiceGroupConfiguration(
            services: [StoreService(node), server, reload],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
    )
    try await group.run()
}
