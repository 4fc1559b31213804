import Foundation
import StorageEngine
import StorageEngineTestSupport

@testable import NodeService
@testable import ReplicationTransport

/// A store that is served on a port of its own.
final class TestNode: Sendable {
    private let directory = TemporaryDirectory()
    let node: EngineNode
    let server: HTTPServer

    init(_ change: (inout HTTPServer.Options) -> Void = { _ in }) throws {
        node = EngineNode(try Engine.open(at: directory.path + "/store"))
        var options = HTTPServer.Options(address: NetworkAddress(host: "127.0.0.1", port: 0))
        change(&options)
        server = try HTTPServer(node, options)
    }

    deinit { server.stop() }

    /// Sends one request on a connection of its own.
    func send(
        _ method: String,
        _ path: String,
        body: [UInt8] = [],
        headers: [String] = []
    ) async throws -> TestAnswer {
        let peer = try RawPeer.connected(to: server.port)
        let head =
            ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close"]
            + ["Content-Length: \(body.count)"] + headers
        try peer.write(Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
        return try await TestAnswer(peer.readToEnd())
    }

    func send(_ method: String, _ path: String, text: String) async throws -> TestAnswer {
        try await send(method, path, body: Array(text.utf8))
    }
}

/// What came back.
struct TestAnswer {
    struct Malformed: Error { let bytes: [UInt8] }

    let status: Int
    let headers: [String: String]
    let body: [UInt8]

    init(status: Int, body: [UInt8]) {
        (self.status, self.body) = (status, body)
        headers = [:]
    }

    init(_ bytes: [UInt8]) throws {
        let end = Data(bytes).range(of: Data("\r\n\r\n".utf8))
        guard let end else { throw Malformed(bytes: bytes) }
        let lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
            .components(separatedBy: "\r\n")
        let parts = lines[0].split(separator: " ")
        guard parts.count >= 2, let status = Int(parts[1]) else { throw Malformed(bytes: bytes) }
        self.status = status
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { throw Malformed(bytes: bytes) }
            let value = line[line.index(after: colon)...]
            headers[line[..<colon].lowercased()] = value.trimmingCharacters(in: .whitespaces)
        }
        self.headers = headers
        let rest = Array(bytes[end.upperBound...])
        body = headers["transfer-encoding"] == "chunked" ? try Self.joined(rest) : rest
    }

    /// The chunks without their sizes.
    private static func joined(_ bytes: [UInt8]) throws -> [UInt8] {
        var rest = bytes[...]
        var body: [UInt8] = []
        while let end = rest.firstIndex(of: 0x0d) {
            let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16)
            guard let size, rest.endIndex >= end + 2 + size + 2 else {
                throw Malformed(bytes: bytes)
            }
            if size == 0 { return body }
            body += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + 2 + size + 2)...]
        }
        throw Malformed(bytes: bytes)
    }

    var text: String { String(decoding: body, as: UTF8.self) }

    var lines: [String] { text.split(separator: "\n").map(String.init) }

    func objects() throws -> [[String: Any]] {
        try lines.map { line in
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
            return object as? [String: Any] ?? [:]
        }
    }

    /// What an error says.
    var error: String? {
        get throws { try objects().first?["error"] as? String }
    }
}
