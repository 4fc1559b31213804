import Foundation
import StorageEngine
import Testing

@testable import NodeService
@testable import ReplicationTransport

/// Who may do what, and how much of it.
@Suite(.timeLimit(.minutes(2))) struct AccessTests {
    private static let tokens: [HTTPRight: String] = [
        .read: "read-token-0123456", .write: "write-token-0123456", .admin: "admin-token-0123456",
    ]

    private func guarded() throws -> TestNode {
        try TestNode { $0.access = HTTPAccess(tokens: Self.tokens) }
    }

    private func status(
        _ node: TestNode,
        _ method: String,
        _ path: String,
        _ token: String?
    ) async throws -> Int {
        let headers = token.map { ["Authorization: Bearer \($0)"] } ?? []
        return try await node.send(method, path, headers: headers).status
    }

    @Test func eachTokenMayDoItsPart() async throws {
        let node = try guarded()
        let tokens = [nil, "wrong", Self.tokens[.read], Self.tokens[.write], Self.tokens[.admin]]
        let expected: [(String, String, [Int])] = [
            ("GET", "/", [200, 200, 200, 200, 200]),
            ("GET", "/health", [200, 200, 200, 200, 200]),
            ("GET", "/status", [401, 401, 200, 200, 200]),
            ("GET", "/metrics", [401, 401, 200, 200, 200]),
            ("GET", "/scan", [401, 401, 200, 200, 200]),
            ("PUT", "/kv/a", [401, 401, 403, 200, 200]),
            ("DELETE", "/kv/a", [401, 401, 403, 200, 200]),
            ("POST", "/batch", [401, 401, 403, 200, 200]),
            ("POST", "/promote", [401, 401, 403, 403, 200]),
        ]

        for (method, path, statuses) in expected {
            var found: [Int] = []
            for token in tokens { found.append(try await status(node, method, path, token)) }
            #expect(found == statuses, "\(method) \(path)")
        }
    }

    @Test func anUnknownClientSendsNoBody() async throws {
        let node = try guarded()
        let peer = try RawPeer.connected(to: node.server.port)
        try peer.write(
            Array("PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n".utf8)
        )

        let answer = try await TestAnswer(peer.readToEnd())

        #expect(answer.status == 401)
        #expect(answer.headers["www-authenticate"] == "Bearer")
        #expect(node.server.admission.counts.bodies == 0)
    }

    @Test func pagesOfOtherSitesDoNotWrite() async throws {
        let node = try TestNode()
        let origin = ["Origin: https://example.com"]

        #expect(try await node.send("PUT", "/kv/a", headers: origin).status == 403)
        #expect(try await node.send("POST", "/batch", headers: origin).status == 403)
        #expect(try await node.send("GET", "/status", headers: origin).status == 200)
    }

    @Test func nothingIsOpenToTheNetwork() async throws {
        let directory = try TestNode()
        for access in [HTTPAccess(), HTTPAccess(tokens: Self.tokens)] {
            var options = HTTPServer.Options(address: NetworkAddress(host: "0.0.0.0", port: 0))
            options.access = access

            let error = #expect(throws: EngineError.self) {
                try HTTPServer(directory.node, options)
            }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func bodiesAreBounded() async throws {
        let node = try TestNode { $0.limits.bodiesSizeMax = 100_000 }
        let announced = try RawPeer.connected(to: node.server.port)
        let head = "PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"
        try announced.write(Array(head.utf8))
        #expect(try await TestAnswer(announced.readToEnd()).status == 413)

        let many = try RawPeer.connected(to: node.server.port)
        try many.write(
            Array("PUT /kv/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        )
        let chunk = Array("8000\r\n".utf8) + [UInt8](repeating: 1, count: 0x8000) + [13, 10]
        for _ in 0..<4 { try many.write(chunk) }
        #expect(try await TestAnswer(many.readToEnd()).status == 429)

        let small = [UInt8](repeating: 2, count: 90_000)
        #expect(try await node.send("PUT", "/kv/b", body: small).status == 200)
        #expect(node.server.admission.counts.bodies == 0)
    }

    @Test func aSlowRequestEnds() async throws {
        let node = try TestNode { $0.limits.requestTime = 50 }
        let silent = try RawPeer.connected(to: node.server.port)
        let slow = try RawPeer.connected(to: node.server.port)
        try slow.write(Array("PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na".utf8))

        #expect(await silent.readToEnd().isEmpty)
        #expect(await slow.readToEnd().isEmpty)
        #expect(try await node.send("GET", "/kv/a").status == 404)
    }

    @Test func connectionsAreBounded() async throws {
        let node = try TestNode { $0.limits.connectionsMax = 3 }
        var open: [RawPeer] = []
        for _ in 0..<3 { open.append(try RawPeer.connected(to: node.server.port)) }
        try await eventually { node.server.admission.counts.connections >= 3 }

        for _ in 0..<50 {
            #expect(try await RawPeer.connected(to: node.server.port).readToEnd().isEmpty)
        }
        open = []
        try await eventually { node.server.admission.counts.connections == 0 }

        #expect(try await node.send("GET", "/health").status == 200)
    }

    @Test func streamsAreBoundedAndEndWithTheirClient() async throws {
        let node = try TestNode { $0.limits.streamsMax = 1 }
        var stream: RawPeer? = try RawPeer.connected(to: node.server.port)
        try stream?.write(Array("GET /changes HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        try await eventually { node.server.admission.counts.streams == 1 }

        #expect(try await node.send("GET", "/changes").status == 429)
        #expect(try await node.send("GET", "/health").status == 200)

        stream = nil
        try await eventually { node.server.admission.counts.streams == 0 }
        #expect(try await node.send("GET", "/scan").status == 200)
    }

    @Test func requestsFollowEachOtherOnOneConnection() async throws {
        let node = try TestNode()
        let peer = try RawPeer.connected(to: node.server.port)
        let put = "PUT /kv/a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        let get = "GET /kv/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

        try peer.write(Array((put + put + get).utf8))
        let text = String(decoding: await peer.readToEnd(), as: UTF8.self)

        #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4)
        #expect(text.hasSuffix("\r\n\r\nx"))
    }

    @Test func whatIsNotHTTPIsRefused() async throws {
        let node = try TestNode()
        for text in ["\u{16}\u{3}\u{1}garbage\r\n\r\n", "GET\r\n\r\n", "GET / FTP/9\r\n\r\n"] {
            let peer = try RawPeer.connected(to: node.server.port)
            try peer.write(Array(text.utf8))
            let answer = String(decoding: await peer.readToEnd(), as: UTF8.self)
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400"), "\(text)")
        }
        #expect(try await node.send("GET", "/health").status == 200)
    }
}
