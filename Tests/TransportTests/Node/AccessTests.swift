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
            Array("PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".utf8)
        )

        let answer = try await TestAnswer(peer.readToEnd())

        #expect(answer.status == 401)
        #expect(answer.headers["www-authenticate"] == "Bearer")
        #expect(node.server.admission.bodies.taken == 0)
    }

    @Test func pagesOfOtherSitesDoNotWrite() async throws {
        let node = try TestNode()
        let origin = ["Origin: https://example.com"]

        #expect(try await node.send("PUT", "/kv/a", headers: origin).status == 403)
        #expect(try await node.send("POST", "/batch", headers: origin).status == 403)
        #expect(try await node.send("GET", "/status", headers: origin).status == 200)
    }

    @Test func aNameThatLeadsHereIsNotThisNode() async throws {
        let node = try TestNode()
        let guarded = try guarded()
        let token = "Authorization: Bearer read-token-0123456"
        func status(
            _ node: TestNode,
            _ host: String,
            _ header: String = "A: b"
        ) async throws -> Int {
            let peer = try RawPeer.connected(to: node.server.port)
            let head = ["GET /scan HTTP/1.1", "Host: \(host)", "Connection: close", header]
            try peer.write(Array((head.joined(separator: "\r\n") + "\r\n\r\n").utf8))
            return try await TestAnswer(peer.readToEnd()).status
        }
        for host in ["example.com", "example.com:7070", "127.0.0.1.example.com", "[::2]:1", ""] {
            #expect(try await status(node, host) == 403, "\(host)")
        }
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:7070", "127.1.2.3", "[::1]:7070"] {
            #expect(try await status(node, host) == 200, "\(host)")
        }
        #expect(try await status(guarded, "example.com", token) == 200)
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
        let head = "PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n"
        try announced.write(Array(head.utf8))
        #expect(try await TestAnswer(announced.readToEnd()).status == 413)

        let many = try RawPeer.connected(to: node.server.port)
        let start = "PUT /kv/a HTTP/1.1\r\nHost: localhost\r\n"
        try many.write(Array((start + "Transfer-Encoding: chunked\r\n\r\n").utf8))
        let chunk = Array("8000\r\n".utf8) + [UInt8](repeating: 1, count: 0x8000) + [13, 10]
        for _ in 0..<4 { try many.write(chunk) }
        #expect(try await TestAnswer(many.readToEnd()).status == 429)

        let small = [UInt8](repeating: 2, count: 90_000)
        #expect(try await node.send("PUT", "/kv/b", body: small).status == 200)
        #expect(node.server.admission.bodies.taken == 0)
    }

    /// The write goes on, and what it takes is counted until it ends.
    @Test func whoHangsUpLeavesNoRoomBehindThatIsTaken() async throws {
        let inner = try TestNode()
        let node = PatientNode(inner.node)
        var options = HTTPServer.Options(address: NetworkAddress(host: "127.0.0.1", port: 0))
        options.limits.requestsMax = 2
        let server = try HTTPServer(node, options)
        defer { server.stop() }
        let head = "PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
        let request = head + "\r\nabc"
        for count in 1...2 {
            let peer = try RawPeer.connected(to: server.port)
            try peer.write(Array(request.utf8))
            try await eventually { node.waitingCount == count }
        }
        try await eventually { server.admission.connections.taken == 0 }
        #expect(server.admission.bodies.taken == 6)
        let refused = try RawPeer.connected(to: server.port)
        try refused.write(Array(request.utf8))
        #expect(try await TestAnswer(refused.readToEnd()).status == 429)

        node.goOn()
        try await eventually { server.admission.bodies.taken == 0 }
        let last = try RawPeer.connected(to: server.port)
        try last.write(Array((head + "Connection: close\r\n\r\nabc").utf8))
        #expect(try await TestAnswer(last.readToEnd()).status == 200)
    }

    @Test func whoDoesNotReadAnAnswerIsGivenUp() async throws {
        let node = try TestNode { $0.limits.requestTime = 1_000 }
        for number in 0..<16 {
            let value = [UInt8](repeating: UInt8(number), count: 1 << 20)
            #expect(try await node.send("PUT", "/kv/\(number)", body: value).status == 200)
        }
        let peer = try RawPeer.connected(to: node.server.port)
        try peer.write(Array("GET /scan HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        try await eventually { node.server.admission.streams.taken == 1 }
        try await eventually { node.server.admission.streams.taken == 0 }
        #expect(await peer.readToEnd().count < 16 << 20)
    }

    @Test func aSlowRequestEnds() async throws {
        let node = try TestNode { $0.limits.requestTime = 50 }
        let silent = try RawPeer.connected(to: node.server.port)
        let slow = try RawPeer.connected(to: node.server.port)
        let head = "PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
        try slow.write(Array((head + "a").utf8))

        #expect(await silent.readToEnd().isEmpty)
        #expect(await slow.readToEnd().isEmpty)
        #expect(try await node.send("GET", "/kv/a").status == 404)
    }

    @Test func connectionsAreBounded() async throws {
        let node = try TestNode { $0.limits.connectionsMax = 3 }
        var open: [RawPeer] = []
        for _ in 0..<3 { open.append(try RawPeer.connected(to: node.server.port)) }
        try await eventually { node.server.admission.connections.taken >= 3 }

        for _ in 0..<50 {
            #expect(try await RawPeer.connected(to: node.server.port).readToEnd().isEmpty)
        }
        open = []
        try await eventually { node.server.admission.connections.taken == 0 }

        #expect(try await node.send("GET", "/health").status == 200)
    }

    @Test func streamsAreBoundedAndEndWithTheirClient() async throws {
        let node = try TestNode { $0.limits.streamsMax = 1 }
        var stream: RawPeer? = try RawPeer.connected(to: node.server.port)
        try stream?.write(Array("GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        try await eventually { node.server.admission.streams.taken == 1 }

        #expect(try await node.send("GET", "/changes").status == 429)
        #expect(try await node.send("GET", "/health").status == 200)

        stream = nil
        try await eventually { node.server.admission.streams.taken == 0 }
        #expect(try await node.send("GET", "/scan").status == 200)
    }

    @Test func requestsFollowEachOtherOnOneConnection() async throws {
        let node = try TestNode()
        let peer = try RawPeer.connected(to: node.server.port)
        let put = "PUT /kv/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx"
        let get = "GET /kv/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

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

/// A node whose writes wait until they may go on.
///
/// Thread safety: every method may be called from any thread or task.
private final class PatientNode: Node, @unchecked Sendable {
    private let node: EngineNode
    private let lock = Lock()
    // The lock.
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var mayGoOn = false

    init(_ node: EngineNode) { self.node = node }

    var waitingCount: Int { lock.with { waiting.count } }

    func goOn() {
        let waiting = lock.with {
            mayGoOn = true
            defer { self.waiting = [] }
            return self.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    func write(_ batch: consuming WriteBatch, _ demand: WriteDemand) async throws -> NodeReceipt {
        await withCheckedContinuation { continuation in
            let isLate = lock.with {
                if !mayGoOn { waiting.append(continuation) }
                return mayGoOn
            }
            if isLate { continuation.resume() }
        }
        return try await node.write(batch, demand)
    }

    func status() async -> NodeStatus { await node.status() }

    func value(for key: [UInt8], after position: Position?) async throws -> [UInt8]? {
        try await node.value(for: key, after: position)
    }

    func snapshot(after position: Position?) async throws -> Snapshot {
        try await node.snapshot(after: position)
    }

    func changes(after position: Position, upTo horizon: AckPoint) async throws -> Changes {
        try await node.changes(after: position, upTo: horizon)
    }

    func promote(acceptLoss: Bool) async throws { try await node.promote(acceptLoss: acceptLoss) }

    func close() async throws { try await node.close() }
}
