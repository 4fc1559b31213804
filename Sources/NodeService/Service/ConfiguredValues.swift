internal import Configuration
internal import Replication
package import ReplicationTransport
package import StorageEngine

/// Reads values, and says which one is wrong.
struct ConfiguredValues {
    private let reader: ConfigReader

    init(_ reader: ConfigReader) { self.reader = reader }

    func read<Value>(
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

    func flag(_ key: String) async throws(EngineError) -> Bool {
        try await read(key) { try await reader.fetchBool(forKey: $0) } ?? false
    }

    func list(_ key: String) async throws(EngineError) -> [String] {
        try await read(key) { try await reader.fetchStringArray(forKey: $0) } ?? []
    }

    /// A list of `NAME=VALUE`.
    func pairs<Value>(
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

    func address(
        _ key: String,
        default text: String
    ) async throws(EngineError) -> NetworkAddress {
        guard let address = NetworkAddress(try await self.text(key) ?? text) else {
            throw .invalidArgument("the configuration's \(key) must be HOST:PORT")
        }
        return address
    }

    func engine() async throws(EngineError) -> Engine.Options {
        var options = Engine.Options()
        if let size = try await number("engine.logFileSize") { options.logFileSize = UInt64(size) }
        if let size = try await number("engine.writeBufferSize") { options.writeBufferSize = size }
        if let size = try await number("engine.cacheSize") { options.cacheSize = size }
        if let size = try await number("engine.retainedLogSize") {
            options.retainedLogSize = UInt64(size)
        }
        return options
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

    /// A number from 0.
    func number(_ key: String) async throws(EngineError) -> Int? {
        let number = try await read(key) { try await reader.fetchInt(forKey: $0) }
        guard number ?? 0 >= 0 else {
            throw .invalidArgument("the configuration's \(key) must not be negative")
        }
        return number
    }

    func ids(_ texts: [String], of key: String) throws(EngineError) -> [UniqueID] {
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
