internal import Configuration
internal import Foundation
package import Replication
package import ReplicationTransport
package import StorageEngine
internal import SystemPackage

// How a node is configured: by a JSON file, and by the environment, which wins. A key `http.listen`
// of the file is `ENGINENODE_HTTP_LISTEN` in the environment; lists are separated by commas there.
//
//   store                  the directory of the store, or of the member; needed
//   engine.logFileSize     bytes, as in the engine's options; so are the next ones    67108864
//   engine.writeBufferSize    67108864
//   engine.cacheSize          67108864
//   engine.retainedLogSize    what is kept of the log for others    268435456
//   http.listen            HOST:PORT of the HTTP surface            127.0.0.1:7070
//   http.tokens.read       a bearer token that may read, of at least 16 bytes
//   http.tokens.write      … that may also write
//   http.tokens.admin      … that may also promote
//   http.names             CERTIFICATE-NAME=read|write|admin, …     only with http.tls
//   http.tls               whether HTTP speaks TLS, with tls.*      false
//   member                 this member's id, 32 hexadecimal digits; needed with others
//   voters                 the ids of all voters
//   failoverFollowers      how many followers carry a failover promise    1
//   feeders                the ids of those to follow first, while no leader is known
//   shortfall.policy       fail, wait or degrade: what to do when followers are missing    fail
//   shortfall.after        how long a write waits for them, in milliseconds    2000
//   shortfall.floor        how many are enough while degraded    0
//   copyRate               the most bytes a second that are read for copies of the whole state
//   network.listen         HOST:PORT for the other members
//   network.peers          ID=HOST:PORT, …: the members; this one's own address is passed over
//   network.insecure       whether members speak without TLS; loopback only    false
//   tls.certificate        PEM file: the certificate, and those between it and the authority
//   tls.key                PEM file: its private key, for its owner alone
//   tls.authority          PEM file: who is trusted
//   tls.names              CERTIFICATE-NAME=ID, …: which member a certificate is

/// What a node is told when it starts.
package struct NodeConfiguration: Sendable {
    package var store: String
    /// How the store is opened.
    package var engine: Engine.Options
    package var http: HTTPServer.Options
    /// `nil` for a node that is alone.
    package var cluster: Cluster?

    /// The other members.
    package struct Cluster: Sendable {
        package var member: UniqueID
        package var membership: Membership
        package var network: NetworkOptions
        package var options = MemberOptions()
    }

    /// Reads the file, if there is one, and the environment.
    ///
    /// - Parameters:
    ///   - file: The path of the JSON file.
    ///   - isInsecure: Whether members speak without TLS whatever both say; on loopback only.
    ///   - environment: The variables.
    /// - Throws: `EngineError` with code `invalidArgument` when something is missing or is not what
    ///   it should be, `io` when the file cannot be read.
    package init(
        file: String?,
        isInsecure: Bool = false,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws(EngineError) {
        var providers: [any ConfigProvider] = [
            EnvironmentVariablesProvider(environmentVariables: environment)
                .prefixKeys(with: "enginenode")
        ]
        if let file { providers.append(try await NodeConfiguration.provider(of: file)) }
        let values = ConfiguredValues(ConfigReader(providers: providers))
        store = try await values.required("store")
        engine = try await values.engine()
        let tls = try await values.tls()
        http = try await values.http(tls)
        cluster = try await values.cluster(tls, isInsecure: isInsecure)
        cluster?.options.engine = engine
    }

    private static func provider(of file: String) async throws(EngineError) -> any ConfigProvider {
        do {
            return try await FileProvider<JSONSnapshot>(filePath: FilePath(file))
        } catch {
            throw EngineError(.io, "reading the configuration: \(error)", file: file)
        }
    }
}
