/// The beginning of a request, before its body.
package struct HTTPHead: Sendable {
    package let method: String
    /// As sent, without the query.
    package let path: String
    /// By name; of several with one name the last.
    package let query: [String: [UInt8]]
    /// By name in lowercase.
    package let headers: [String: String]

    /// Reads what a client sent.
    ///
    /// - Throws: 400 when an escape is no escape.
    package init(
        method: String,
        uri: String,
        headers: [(name: String, value: String)]
    ) throws(HTTPProblem) {
        self.method = method
        let parts = uri.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        path = String(parts.first ?? "")
        var query: [String: [UInt8]] = [:]
        if parts.count == 2 {
            for pair in parts[1].split(separator: "&") {
                let sides = pair.split(
                    separator: "=",
                    maxSplits: 1,
                    omittingEmptySubsequences: false
                )
                let name = try HTTPHead.unescaped(sides[0])
                let value = sides.count == 2 ? try HTTPHead.unescaped(sides[1]) : []
                query[String(decoding: name, as: UTF8.self)] = value
            }
        }
        self.query = query
        self.headers = Dictionary(
            headers.map { ($0.name.lowercased(), $0.value) },
            uniquingKeysWith: { $1 }
        )
    }

    /// The bytes of a text in which `%` and two digits stand for any byte.
    static func unescaped(_ text: Substring) throws(HTTPProblem) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard rest.count >= 2, digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
                let value = UInt8(digits, radix: 16)
            else { throw HTTPProblem(.badRequest, "a % in the address needs two digits") }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return bytes
    }

    /// A parameter's text.
    ///
    /// - Throws: 400 when it is not UTF-8.
    func text(_ name: String) throws(HTTPProblem) -> String? {
        guard let bytes = query[name] else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw HTTPProblem(.badRequest, "parameter \(name) is not UTF-8")
        }
        return text
    }

    /// A parameter of a few values.
    func value<Value>(
        _ name: String,
        _ expected: String,
        _ read: (String) -> Value?
    ) throws(HTTPProblem) -> Value? {
        guard let text = try text(name) else { return nil }
        guard let value = read(text) else {
            throw HTTPProblem(.badRequest, "parameter \(name) must be \(expected)")
        }
        return value
    }

    /// Refuses parameters that nothing reads: a misspelt one would be ignored.
    func expect(_ names: Set<String>) throws(HTTPProblem) {
        if let unknown = query.keys.sorted().first(where: { !names.contains($0) }) {
            throw HTTPProblem(.badRequest, "unknown parameter \(unknown)")
        }
    }
}

/// A request, whole.
package struct HTTPRequest: Sendable {
    package let head: HTTPHead
    package let body: [UInt8]
}
