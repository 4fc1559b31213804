internal import StorageEngine
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

    package init(_ status: HTTPStatus, code: String? = nil, _ message: String) {
        self.status = status
        self.code = code ?? "\(status)"
        self.message = message
    }

    package init(_ error: any Error) {
        switch error {
        case let problem as HTTPProblem: self = problem
        case let error as EngineError:
            self.init(HTTPStatus(error.code), code: error.code.rawValue, error.message)
        case is CancellationError: self.init(.unavailable, "the node is stopping")
        default: self.init(.internalError, "\(error)")
        }
    }

    var json: JSON { .object([("error", .string(code)), ("message", .string(message))]) }

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
