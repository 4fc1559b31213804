import Foundation
import NodeService
import ReplicationTransport
import StorageEngine
import ToolSupport

/// What a node says about itself.
struct NodeReport: Decodable, Sendable {
    struct Shortfall: Decodable, Sendable { let state: String }

    struct Member: Decodable, Sendable {
        let member, role: String
        let connected: Bool
        let reached: [String: UInt64]?
        let lagSequences, lagBytes, lagMilliseconds: UInt64?
    }

    let role, member, position: String
    let leader, feeder, history, trouble: String?
    let sequence, epoch: UInt64
    let suspect: Bool
    let shortfall: Shortfall
    let missing: [String]
    let members: [Member]
}

/// What a node answered to a write.
enum WriteAnswer: Sendable {
    case done(position: String)
    /// Nothing was written; the other one may lead.
    case notLeader(hint: String?)
    /// Whether it was written is not known.
    case unknown(String)
}

/// Asks one node over HTTP.
///
/// Thread safety: a value.
struct NodeClient: Sendable {
    /// How long an answer may take, in milliseconds.
    var timeLimit: Int64 = 3_000
    private let address: NetworkAddress
    private let tls: TLSFiles?

    init(_ address: NetworkAddress, tls: TLSFiles? = nil) {
        self.address = address
        self.tls = tls
    }

    private struct Receipt: Decodable { let position: String }
    private struct Refusal: Decodable {
        let error: String
        let leader: String?
    }

    func send(
        _ method: String,
        _ path: String,
        body: [UInt8] = []
    ) async throws(EngineError) -> HTTPCall.Answer {
        var call = HTTPCall(address: address, token: nil)
        call.timeLimit = timeLimit
        call.tls = tls
        return try await call.send(method, path, body: body)
    }

    /// How it is.
    ///
    /// - Throws: When it does not answer.
    func report() async throws -> NodeReport {
        let answer = try await send("GET", "/status")
        return try JSONDecoder().decode(NodeReport.self, from: Data(answer.body))
    }

    /// Puts a value; the query says what it must reach.
    func put(_ value: String, for key: String, _ query: String) async -> WriteAnswer {
        do {
            let path = "/kv/\(key)?\(query)"
            let answer = try await send("PUT", path, body: Array(value.utf8))
            let decoder = JSONDecoder()
            if answer.status == 200 {
                let receipt = try decoder.decode(Receipt.self, from: Data(answer.body))
                return .done(position: receipt.position)
            }
            let refusal = try decoder.decode(Refusal.self, from: Data(answer.body))
            if refusal.error == "notLeader" { return .notLeader(hint: refusal.leader) }
            return .unknown(refusal.error)
        } catch {
            return .unknown("\(error)")
        }
    }

    /// The value of a key; `nil` when it is not there.
    ///
    /// - Throws: When it does not answer, or refuses.
    func value(for key: String, after position: String? = nil) async throws -> String? {
        let query = position.map { "?after=\($0)" } ?? ""
        let answer = try await send("GET", "/kv/\(key)\(query)")
        switch answer.status {
        case 200: return String(decoding: answer.body, as: UTF8.self)
        case 404: return nil
        default:
            throw ToolError(
                "reading: \(answer.status) \(String(decoding: answer.body, as: UTF8.self))",
                exit: .other
            )
        }
    }

    /// Makes it the leader; returns whether it leads.
    func promote(acceptLoss: Bool = false) async -> Bool {
        var patient = self
        patient.timeLimit = 30_000
        do {
            let path = "/promote" + (acceptLoss ? "?acceptLoss=yes" : "")
            return try await patient.send("POST", path).status == 200
        } catch {
            return false
        }
    }
}
