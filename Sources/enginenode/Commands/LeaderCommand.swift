internal import ArgumentParser
internal import Logging
internal import NodeService
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// Serves a store that takes writes.
struct LeaderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader",
        abstract: "Serves a store that takes writes."
    )

    @Option(help: "The JSON file with the configuration.")
    var config: String?

    func run() throws {
        let config = config
        try waiting {
            let configuration = try await NodeConfiguration(file: config)
            guard configuration.cluster == nil else {
                throw ToolError(
                    "reading the configuration: network.peers names other members; this node "
                        + "serves a store that is alone"
                )
            }
            try await Self.serve(configuration)
        }
    }

    private static func serve(_ configuration: NodeConfiguration) async throws {
        var options = Engine.Options()
        options.logger = .tool
        let node = EngineNode(try Engine.open(at: configuration.store, options: options))
        let server: HTTPServer
        do {
            server = try HTTPServer(node, configuration.http)
        } catch {
            try await node.close()
            throw error
        }
        let address = configuration.http.address
        let scheme = configuration.http.tls == nil ? "http" : "https"
        try ToolOutput.print("serving \(scheme)://\(address.host):\(server.port)/")
        try await NodeService.serve(node, server, logger: .tool)
    }
}
