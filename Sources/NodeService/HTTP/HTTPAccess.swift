/// What a client may do; each right includes those before it.
package enum HTTPRight: Int, Sendable, Hashable, Comparable, CaseIterable {
    case none, read, write, admin

    package static func < (left: HTTPRight, right: HTTPRight) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// Who may do what: by a bearer token, or by the name of a certificate.
package struct HTTPAccess: Sendable {
    private let tokens: [(token: [UInt8], right: HTTPRight)]
    private let names: [String: HTTPRight]

    /// Nobody is asked when there are neither tokens nor names; only for loopback.
    package var isOpen: Bool { tokens.isEmpty && names.isEmpty }

    package init(tokens: [HTTPRight: String] = [:], names: [String: HTTPRight] = [:]) {
        self.tokens = tokens.map { (Array($0.value.utf8), $0.key) }
        self.names = names
    }

    /// The fewest bytes of a token.
    package static let tokenSizeMin = 16

    /// - Throws: 401 when nobody is named, 403 when whoever is may not.
    func check(
        _ head: HTTPHead,
        certificate certificateNames: [String],
        for needed: HTTPRight
    ) throws(HTTPProblem) {
        guard needed > .none else { return }
        guard !isOpen else {
            // Pages of other sites reach loopback too, through the browser of whoever reads them.
            guard head.headers["origin"] == nil || head.method == "GET" else {
                throw HTTPProblem(.forbidden, "without tokens, pages of a browser may not write")
            }
            // And if their name leads there, the browser takes the answer for theirs.
            guard head.headers["host"].map(Self.isLoopback) ?? true else {
                throw HTTPProblem(.forbidden, "without tokens, the node is called by its address")
            }
            return
        }
        let named = certificateNames.compactMap { names[$0] }.max() ?? .none
        let right = max(named, right(of: head))
        guard right > .none else {
            throw HTTPProblem(.unauthorized, "a bearer token is needed")
        }
        guard right >= needed else { throw HTTPProblem(.forbidden, "\(needed) access is needed") }
    }

    /// Whether a host, perhaps with a port, is this machine whatever a name server says.
    private static func isLoopback(_ host: String) -> Bool {
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } : host.prefix { $0 != ":" }
        if name == "[::1" || name.lowercased() == "localhost" { return true }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private func right(of head: HTTPHead) -> HTTPRight {
        let prefix = "bearer "
        guard let header = head.headers["authorization"],
            header.lowercased().hasPrefix(prefix)
        else { return .none }
        let given = Array(header.utf8.dropFirst(prefix.utf8.count))
        return tokens.filter { HTTPAccess.isEqual($0.token, given) }.map(\.right).max() ?? .none
    }

    /// Takes as long whatever the bytes are.
    private static func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        return zip(left, right).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) } == 0
    }
}
