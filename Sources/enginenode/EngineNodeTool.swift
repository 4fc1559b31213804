internal import ArgumentParser
internal import NodeService
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// The command line.
struct EngineNodeTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginenode",
        abstract: "Runs a store as a service, and asks one that runs.",
        discussion: """
            Examples:
              ENGINENODE_STORE=/var/lib/store enginenode leader
              enginenode leader --config /etc/enginenode.json
              enginenode follower --config /etc/enginenode.json
              enginenode status --node 127.0.0.1:7070
              enginenode promote --node 127.0.0.1:7070

            A node's configuration is a JSON file, or variables ENGINENODE_… of the environment,
            which win. SIGTERM ends a node cleanly, SIGHUP reads its certificates again.

            Exit status: 0 ok, 1 usage, 2 corruption, 3 gap in the log, 4 input or output,
            5 other (the node refused, or the store is locked, among them).
            """,
        version: toolVersion,
        subcommands: [
            LeaderCommand.self, FollowerCommand.self, StatusCommand.self, PromoteCommand.self,
        ]
    )
}

/// Which node is asked.
struct NodeOptions: ParsableArguments {
    @Option(help: "HOST:PORT of the node's HTTP surface.")
    var node = "127.0.0.1:7070"

    @Option(help: "The file that holds the bearer token, if the node wants one.")
    var tokenFile: String?

    @Option(help: "PEM file: who is trusted. Asks over HTTPS; the next two are needed, too.")
    var authority: String?

    @Option(help: "PEM file: the certificate that is shown to the node.")
    var certificate: String?

    @Option(help: "PEM file: its private key.")
    var key: String?

    func validate() throws {
        let given = [authority, certificate, key].compactMap { $0 }
        guard given.isEmpty || given.count == 3 else {
            throw ValidationError("--authority, --certificate and --key belong together")
        }
    }

    /// Sends a request, and returns what the node answered.
    ///
    /// - Throws: `ToolError` when it refused.
    func ask(_ method: String, _ path: String) throws -> [UInt8] {
        guard let address = NetworkAddress(node) else {
            throw ToolError("reading the arguments: --node must be HOST:PORT")
        }
        var call = HTTPCall(address: address, token: try tokenFile.map(readToken))
        if let authority, let certificate, let key {
            call.tls = TLSFiles(
                certificateChain: certificate,
                privateKey: key,
                trustRoots: authority,
                members: [:]
            )
        }
        let request = call
        let answer = try waiting { try await request.send(method, path) }
        guard answer.status == 200 else {
            let reason = String(decoding: answer.body, as: UTF8.self).split(separator: "\n").first
            throw ToolError(
                "asking the node at \(node): \(answer.status) \(reason ?? "")",
                exit: .other
            )
        }
        return answer.body
    }

    private func readToken(_ path: String) throws -> String {
        let text = try SmallFile.text(of: path)
        return text.last == "\n" ? String(text.dropLast()) : text
    }
}
