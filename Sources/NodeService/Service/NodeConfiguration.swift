internal import Configuration
internal import Foundation
package import Replication
package import ReplicationTransport
package import StorageEngine
internal import SystemPackage

// How a node is configured: by a JSON file, and by the environment, which wins. A key `http.listen`
// of the file is `ENGINENODE_HTTP_LISTEN` in the environment; lists are separated by commas there.
//
//   store                  the store's directory; needed
//   http.listen            HOST:PORT of the HTTP surface            127.0.0.1:7070
//   http.tokens.read       a bearer token that may read, of at least 16 bytes
//   http.tokens.write      … that may also write
//   http.tokens.admin      … that may also promote
//   http.names             CERTIFICATE-NAME=read|write|admin, …     only with http.tls
//   http.tls               whether HTTP speaks TLS, with tls.*      false
//   member                 this member's id, 32 hexadecimal digits; needed with others
//   voters                 the ids of all voters
//   failoverFollowers      how many followers carry a failover promise    1
//   network.listen         HOST:PORT for the other members
//   network.peers          ID=HOST:PORT, …: the other members
//   network.insecure       whether members speak without TLS; loopback only    false
//   tls.certificate        PEM file: the certificate, and those between it and the authority
//   tls.key                PEM file: its private key, for its owner alone
//   tls.authority          PEM file: who is trusted
//   tls.names              CERTIFICATE-NAME=ID, …: which member a certificate is

/// What a node is told when it starts.
package struct NodeConfiguration: Sendable {
    package var store: String
    package var http: HTTPServer.Options
    /// `nil` for a node that is alone.
    package var cluster: Cluster?

    /// The other members.
    package struct Cluster: Sendable {
        package var member: UniqueID
        package var membership: Membership
        package var network: NetworkOptions
    }

    /// Reads the file, if there is one, and the environment.
    ///
    /// - Throws: `EngineError` with code `invalidArgument` when something is missing or is not what
    ///   it should be, `io` when the file cannot be read.
    package init(
        file: String?,
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) async throws(EngineError) {
        var providers: [any ConfigProvider] = [
            EnvironmentVariablesProvider(environmentVariables: environment)
                .prefixKeys(with: "enginenode")
        ]
        if let file { providers.append(try await NodeConfiguration.provider(of: file)) }
        let values = ConfiguredValues(ConfigReader(providers: providers))
        store = try await values.required("store")
        let tls = try await values.tls()
        http = try await values.http(tls)
        cluster = try await values.cluster(tls)
    }

    private static func provider(of file: String) async throws(EngineError) -> any ConfigProvider {
        do {
            return try await FileProvider<JSONSnapshot>(filePath: FilePath(file))
        } catch {
            throw EngineError(.io, "reading the configuration: \(error)", file: file)
        }
    }
}

/// Reads values, and says which one is wrong.
private struct ConfiguredValues {
    private let reader: ConfigReader

    init(_ reader: ConfigReader) { self.reader = reader }

    private func read<Value>(
        _ key: String,
        _ body: (ConfigKey) async throws -> Value
    ) async throws(EngineError) -> Value {
        do {
            return try await body(ConfigKey(key))
        } catch {
            throw .invalidArgument("the configuration's \(key): \(error)")
        }
    }

    func text(_ key: String) async throws(EngineError) -> String? {
        try await read(key) { try await reader.fetchString(forKey: $0, isSecret: true) }
    }

    func required(_ key: String) async throws(EngineError) -> String {
        guard let text = try await text(key) else {
            throw .invalidArgument("the configuration lacks \(key)")
        }
        return text
    }

    private func flag(_ key: String) async throws(EngineError) -> Bool {
        try await read(key) { try await reader.fetchBool(forKey: $0) } ?? false
    }

    private func list(_ key: String) async throws(EngineError) -> [String] {
        try await read(key) { try await reader.fetchStringArray(forKey: $0) } ?? []
    }

    /// A list of `NAME=VALUE`.
    private func pairs<Value>(
        _ key: String,
        _ form: String,
        _ value: (String) -> Value?
    ) async throws(EngineError) -> [(name: String, value: Value)] {
        var pairs: [(name: String, value: Value)] = []
        for entry in try await list(key) {
            let place = entry.lastIndex(of: "=")
            guard let place, place > entry.startIndex,
                let value = value(String(entry[entry.index(after: place)...]))
            else { throw .invalidArgument("the configuration's \(key) must be \(form)") }
            pairs.append((String(entry[..<place]), value))
        }
        return pairs
    }

    private func address(
        _ key: String,
        default text: String
    ) async throws(EngineError) -> NetworkAddress {
        guard let address = NetworkAddress(try await self.text(key) ?? text) else {
            throw .invalidArgument("the configuration's \(key) must be HOST:PORT")
        }
        return address
    }

    func tls() async throws(EngineError) -> TLSFiles? {
        guard let certificate = try await text("tls.certificate") else { return nil }
        let names = try await pairs("tls.names", "NAME=ID", { UniqueID(hexadecimal: $0) })
        return TLSFiles(
            certificateChain: certificate,
            privateKey: try await required("tls.key"),
            trustRoots: try await required("tls.authority"),
            members: Dictionary(names.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
        )
    }

    func http(_ tls: TLSFiles?) async throws(EngineError) -> HTTPServer.Options {
        var options = HTTPServer.Options(
            address: try await address("http.listen", default: "127.0.0.1:7070")
        )
        let rights: [(String, HTTPRight)] = [
            ("read", .read), ("write", .write), ("admin", .admin),
        ]
        var tokens: [HTTPRight: String] = [:]
        for (name, right) in rights {
            guard let token = try await text("http.tokens.\(name)") else { continue }
            guard token.utf8.count >= HTTPAccess.tokenSizeMin else {
                throw .invalidArgument(
                    "the configuration's http.tokens.\(name) has fewer than "
                        + "\(HTTPAccess.tokenSizeMin) bytes"
                )
            }
            tokens[right] = token
        }
        let names = try await pairs("http.names", "NAME=read, write or admin") { text in
            rights.first { $0.0 == text }?.1
        }
        options.access = HTTPAccess(
            tokens: tokens,
            names: Dictionary(names.map { ($0.name, $0.value) }, uniquingKeysWith: { max($0, $1) })
        )
        guard try await flag("http.tls") else { return options }
        guard let tls else { throw .invalidArgument("http.tls needs tls.certificate") }
        options.tls = tls
        return options
    }

    func cluster(_ tls: TLSFiles?) async throws(EngineError) -> NodeConfiguration.Cluster? {
        let peers = try await pairs("network.peers", "ID=HOST:PORT", { NetworkAddress($0) })
        guard !peers.isEmpty else { return nil }
        let member = try await ids([required("member")], of: "member")[0]
        var addresses: [UniqueID: NetworkAddress] = [:]
        for (id, peer) in zip(try ids(peers.map(\.name), of: "network.peers"), peers) {
            addresses[id] = peer.value
        }
        let isInsecure = try await flag("network.insecure")
        guard isInsecure || tls != nil else {
            throw .invalidArgument("members need tls.certificate, or network.insecure on loopback")
        }
        let network = NetworkOptions(
            listen: try await address("network.listen", default: "127.0.0.1:7071"),
            peers: addresses,
            security: tls.map { isInsecure ? .insecure : .tls($0) } ?? .insecure
        )
        let followers = try await read("failoverFollowers") {
            try await reader.fetchInt(forKey: $0)
        }
        return NodeConfiguration.Cluster(
            member: member,
            membership: try Membership(
                voters: try ids(try await list("voters"), of: "voters"),
                failoverFollowers: followers ?? 1
            ),
            network: network
        )
    }

    private func ids(_ texts: [String], of key: String) throws(EngineError) -> [UniqueID] {
        var ids: [UniqueID] = []
        for text in texts {
            guard let id = UniqueID(hexadecimal: text) else {
                throw .invalidArgument("the configuration's \(key): an id has 32 hex digits")
            }
            ids.append(id)
        }
        return ids
    }
}

extension UniqueID {
    /// Reads 32 hexadecimal digits.
    package init?(hexadecimal text: String) {
        guard text.utf8.count == 32, text.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
            let high = UInt64(text.prefix(16), radix: 16),
            let low = UInt64(text.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }
}

extension NetworkAddress {
    /// Reads `HOST:PORT`; an address with colons is in brackets.
    package init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: Int(port))
    }
}
