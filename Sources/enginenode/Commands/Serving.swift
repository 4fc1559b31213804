internal import ArgumentParser
internal import Logging
internal import NodeService
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// What a node is started with, and how it runs.
struct ServingOptions: ParsableArguments {
    @Option(help: "The JSON file with the configuration.")
    var config: String?

    @Flag(help: "Members speak without TLS; on loopback only.")
    var insecure = false

    func configuration() async throws -> NodeConfiguration {
        try await NodeConfiguration(file: config, isInsecure: insecure)
    }
}

/// A node that runs until it is told to stop.
enum Serving {
    /// Serves a store that is alone.
    static func alone(_ configuration: NodeConfiguration) async throws {
        var options = configuration.engine
        options.logger = .tool
        let node = EngineNode(try Engine.open(at: configuration.store, options: options))
        try await serve(node, configuration, greeting: "", logger: .tool)
    }

    /// Serves a member; the first one of all begins the history.
    static func member(
        _ configuration: NodeConfiguration,
        _ cluster: NodeConfiguration.Cluster,
        beginsHistory: Bool
    ) async throws {
        var logger = Logger.tool
        logger.logLevel = .notice
        let told = logger
        let node = try MemberNode(at: configuration.store, cluster, logger: logger)
        // It serves meanwhile: its status says how it stands.
        let founding = Task { await begin(node, isWanted: beginsHistory, logger: told) }
        let address = NetworkAddress(host: cluster.network.listen.host, port: node.port)
        let greeting = ", members at \(address)"
        try await serve(node, configuration, greeting: greeting, logger: logger) {
            try node.reload()
        }
        await founding.value
    }

    /// Begins the history when that is wanted, and tells who has none otherwise.
    private static func begin(_ node: MemberNode, isWanted: Bool, logger: Logger) async {
        guard isWanted else {
            if await node.status().history == nil {
                logger.notice("the member has no history: it waits for a member that feeds it")
            }
            return
        }
        do {
            try await node.beginHistory()
        } catch {
            logger.error("the history was not begun: \(error)")
        }
    }

    private static func serve(
        _ node: any Node,
        _ configuration: NodeConfiguration,
        greeting: String,
        logger: Logger,
        reload: @escaping @Sendable () throws -> Void = {}
    ) async throws {
        let server: HTTPServer
        do {
            server = try HTTPServer(node, configuration.http)
        } catch {
            try await node.close()
            throw error
        }
        let scheme = configuration.http.tls == nil ? "http" : "https"
        let address = NetworkAddress(host: configuration.http.address.host, port: server.port)
        try ToolOutput.print("serving \(scheme)://\(address)/\(greeting)")
        try await NodeService.serve(node, server, logger: logger, reload: reload)
    }
}
