internal import Replication
package import StorageEngine
internal import ToolSupport

/// The answer to a request.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// Written piece by piece, each once the client has taken the one before.
        case stream(@Sendable (any HTTPBodyWriter) async throws -> Void)
    }

    package var status: HTTPStatus = .ok
    package var type: String
    package var body: Body
    package var headers: [(name: String, value: String)] = []

    package init(status: HTTPStatus = .ok, type: String, body: Body) {
        self.status = status
        self.type = type
        self.body = body
    }

    static func json(_ json: JSON, status: HTTPStatus = .ok) -> HTTPResponse {
        HTTPResponse(
            status: status,
            type: "application/json",
            body: .bytes(Array("\(json.text)\n".utf8))
        )
    }

    static func lines(
        _ write: @escaping @Sendable (any HTTPBodyWriter) async throws -> Void
    ) -> HTTPResponse {
        HTTPResponse(type: "application/x-ndjson", body: .stream(write))
    }
}

/// Takes the pieces of a body.
package protocol HTTPBodyWriter: Sendable {
    /// Suspends until the client's connection has taken the piece.
    ///
    /// - Throws: When the client is gone.
    func write(_ bytes: [UInt8]) async throws
}

/// The status codes in use.
package enum HTTPStatus: Int, Sendable, Hashable {
    case ok = 200
    case noContent = 204
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case timeout = 408
    case conflict = 409
    case gone = 410
    case tooLarge = 413
    case misdirected = 421
    case tooMany = 429
    case internalError = 500
    case unavailable = 503
    case indeterminate = 504
    case noSpace = 507
}

/// Why a request is not answered as it wishes.
package struct HTTPProblem: Error, Hashable, Sendable {
    package let status: HTTPStatus
    /// For programs.
    package let code: String
    /// For people; holds no key and no value.
    package let message: String
    /// Who may be asked instead.
    package var leader: UniqueID?
    /// What a write had reached whose outcome is not known.
    package var receipt: NodeReceipt?

    package init(_ status: HTTPStatus, code: String? = nil, _ message: String) {
        self.status = status
        self.code = code ?? "\(status)"
        self.message = message
    }

    package init(_ error: any Error) {
        switch error {
        case let problem as HTTPProblem: self = problem
        case let error as EngineError:
            self.init(error)
        case let error as ReplicationError: self.init(error)
        case is CancellationError: self.init(.unavailable, "the node is stopping")
        default: self.init(.internalError, "\(error)")
        }
    }

    package init(_ error: EngineError) {
        self.init(HTTPStatus(error.code), code: error.code.rawValue, error.message)
    }

    private init(_ error: ReplicationError) {
        let text = error.description
        switch error {
        case .notLeader(let hint):
            self.init(.misdirected, code: "notLeader", text)
            leader = hint
        case .indeterminate(let reached, _):
            self.init(.indeterminate, code: "indeterminate", text)
            receipt = NodeReceipt(reached)
        case .tooManyFollowers: self.init(.badRequest, code: "tooManyFollowers", text)
        case .promotionFailed: self.init(.conflict, code: "promotionFailed", text)
        case .notNew: self.init(.conflict, code: "notNew", text)
        case .historyFound: self.init(.conflict, code: "historyFound", text)
        case .notReached: self.init(.conflict, code: "notReached", text)
        case .store(let error): self.init(error)
        @unknown default: self.init(.internalError, text)
        }
    }

    var json: JSON {
        var members: [(name: String, value: JSON)] = [
            ("error", .string(code)), ("message", .string(message)),
        ]
        if let leader { members.append(("leader", JSON(leader))) }
        if let receipt { members.append(("receipt", receipt.json)) }
        return .object(members)
    }

    var response: HTTPResponse {
        var response = HTTPResponse.json(json, status: status)
        if status == .unauthorized { response.headers = [("WWW-Authenticate", "Bearer")] }
        return response
    }
}

extension HTTPStatus {
    init(_ code: EngineError.Code) {
        switch code {
        case .invalidArgument: self = .badRequest
        case .ahead, .diverged, .fenced, .readOnly: self = .conflict
        case .trimmed: self = .gone
        case .notLeader: self = .misdirected
        case .indeterminate: self = .indeterminate
        case .noSpace: self = .noSpace
        case .stalled, .poisoned, .closed: self = .unavailable
        default: self = .internalError
        }
    }
}
