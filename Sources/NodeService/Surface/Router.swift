internal import StorageEngine

// What a node offers over HTTP. Keys and values are any bytes; where they are JSON, those that are
// not UTF-8 are `keyBase64` and `valueBase64` instead of `key` and `value`, as in all tools.
//
//   GET    /                    the status page, for people; it asks for a token if one is needed
//   GET    /health              200 while writes or reads are served, else 503
//   GET    /status              read   how the node and its members are, JSON
//   GET    /metrics             read   Prometheus's text format
//   GET    /kv/KEY              read   the value as it is, or 404       ?after=POSITION
//   PUT    /kv/KEY              write  the body is the value            ?ack= &followers= &at=
//   DELETE /kv/KEY              write                                   ?ack= &followers= &at=
//   POST   /batch               write  operations, NDJSON; all or none  ?ack= &followers= &at=
//   GET    /scan                read   entries, NDJSON  ?from= &to= &prefix= &limit= &after=
//   GET    /changes             read   writes, NDJSON, for ever         ?after= &upTo= &limit=
//   POST   /promote             admin  this member shall lead           ?acceptLoss=yes
//
// In an address `%` and two digits are any byte. What is refused is a JSON object with `error` and
// `message`; when a stream breaks off, such an object is its last line.

/// One thing that can be asked for.
package struct Route: Sendable {
    package let needed: HTTPRight
    /// The most bytes of a request's body.
    package var bodySizeMax = 0
    package let respond: @Sendable (HTTPRequest) async throws -> HTTPResponse
}

/// Finds out what a request asks for.
package struct Router: Sendable {
    let node: any Node

    package init(_ node: any Node) { self.node = node }

    /// The most bytes of a batch's text.
    static let batchSizeMax = 64 << 20

    /// - Throws: 404 or 405.
    package func route(_ head: HTTPHead) throws(HTTPProblem) -> Route {
        if let key = head.path.dropping(prefix: "/kv/") { return try route(head, key: key) }
        let routes: [String: [String: Route]] = [
            "/": ["GET": page],
            "/health": ["GET": health],
            "/status": ["GET": status],
            "/metrics": ["GET": metrics],
            "/scan": ["GET": scan],
            "/changes": ["GET": changes],
            "/batch": ["POST": batch],
            "/promote": ["POST": promote],
        ]
        guard let methods = routes[head.path] else {
            throw HTTPProblem(.notFound, "there is nothing at this address")
        }
        guard let route = methods[head.method] else {
            let allowed = methods.keys.sorted().joined(separator: ", ")
            throw HTTPProblem(.methodNotAllowed, "allowed here: \(allowed)")
        }
        return route
    }

    private func route(_ head: HTTPHead, key text: Substring) throws(HTTPProblem) -> Route {
        let key = try HTTPHead.unescaped(text)
        switch head.method {
        case "GET": return get(key)
        case "PUT": return put(key)
        case "DELETE": return delete(key)
        default: throw HTTPProblem(.methodNotAllowed, "allowed here: DELETE, GET, PUT")
        }
    }
}

extension String {
    /// What is behind a prefix; `nil` when it is not there.
    func dropping(prefix: String) -> Substring? {
        hasPrefix(prefix) ? dropFirst(prefix.count) : nil
    }
}
