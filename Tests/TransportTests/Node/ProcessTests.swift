import Foundation
import StorageEngine
import StorageEngineTestSupport
import Testing

@testable import NodeService
@testable import ReplicationTransport

/// The tool itself: it serves until it is told to stop, and loses nothing then.
@Suite(.timeLimit(.minutes(3))) struct ProcessTests {
    private let directory = TemporaryDirectory()

    private func tool(_ arguments: [String], _ environment: [String: String] = [:]) -> Process {
        let process = Process()
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.executableURL = own.deletingLastPathComponent().appending(path: "enginenode")
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { $1 }
        process.standardError = FileHandle.nullDevice
        return process
    }

    private func run(
        _ arguments: [String],
        _ environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String, errors: String) {
        let process = tool(arguments, environment)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: text, as: UTF8.self),
            String(decoding: complaint, as: UTF8.self)
        )
    }

    /// Starts a node and waits until it serves.
    private func start(
        _ arguments: [String],
        _ environment: [String: String]
    ) throws -> (Process, port: Int) {
        let process = tool(arguments, environment)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        var line = ""
        while !line.hasSuffix("\n") {
            let bytes = try #require(try output.fileHandleForReading.read(upToCount: 1))
            try #require(!bytes.isEmpty)
            line += String(decoding: bytes, as: UTF8.self)
        }
        let form = /serving https?:\/\/127\.0\.0\.1:(\d+)\/(, members at 127\.0\.0\.1:\d+)?\n/
        let match = try #require(line.wholeMatch(of: form))
        return (process, try #require(Int(match.1)))
    }

    private func put(_ key: String, port: Int, token: String) async throws -> Int {
        let peer = try RawPeer.connected(to: port)
        let lines = [
            "PUT /kv/\(key)?ack=memory HTTP/1.1", "Host: a", "Connection: close",
            "Content-Length: 3", "Authorization: Bearer \(token)", "", "Ada",
        ]
        try peer.write(Array(lines.joined(separator: "\r\n").utf8))
        return try await TestAnswer(peer.readToEnd()).status
    }

    @Test func aNodeServesUntilItIsToldToStop() async throws {
        let token = "token-of-the-admin"
        let store = directory.path + "/store"
        let tokenFile = directory.path + "/token"
        try Data("\(token)\n".utf8).write(to: URL(fileURLWithPath: tokenFile))
        let (process, port) = try start(
            ["leader"],
            [
                "ENGINENODE_STORE": store, "ENGINENODE_HTTP_LISTEN": "127.0.0.1:0",
                "ENGINENODE_HTTP_TOKENS_ADMIN": token,
            ]
        )
        let node = ["--node", "127.0.0.1:\(port)", "--token-file", tokenFile]

        #expect(try await put("user", port: port, token: token) == 200)
        let status = try run(["status"] + node)
        let promoted = try run(["promote"] + node)
        let stranger = try run(["status", "--node", "127.0.0.1:\(port)"])
        kill(process.processIdentifier, SIGHUP)
        #expect(try await put("other", port: port, token: token) == 200)
        process.terminate()
        process.waitUntilExit()

        #expect(status.status == 0 && status.output.contains(#""role":"leader""#))
        #expect(promoted.status == 0 && promoted.output.contains(#""sequence":1,"#))
        #expect(stranger.status == 5 && stranger.errors.contains("401"))
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let engine = try Engine.open(at: store)
        #expect(try await engine.value(for: "user") == Array("Ada".utf8))
        #expect(try await engine.value(for: "other") == Array("Ada".utf8))
        #expect(engine.recovery.rewrittenRecords == 0, "it was closed cleanly")
        try await engine.close()
    }

    @Test func membersAndTheirCallersShowCertificates() async throws {
        let authority = try TestAuthority()
        let ids = [1, 2].map { String(repeating: "\($0)", count: 32) }
        let ports = try UnusedPorts.take(2)
        var started: [(process: Process, port: Int)] = []
        for index in 0..<2 {
            let name = "node\(index)"
            try authority.issue(name, name: "DNS:\(name).test,IP:127.0.0.1")
            let others = zip(ids, ports).map { "\($0)=127.0.0.1:\($1)" }
            let environment = [
                "ENGINENODE_STORE": directory.path + "/\(name)", "ENGINENODE_MEMBER": ids[index],
                "ENGINENODE_VOTERS": ids.joined(separator: ","),
                "ENGINENODE_NETWORK_LISTEN": "127.0.0.1:\(ports[index])",
                "ENGINENODE_NETWORK_PEERS": others.joined(separator: ","),
                "ENGINENODE_HTTP_LISTEN": "127.0.0.1:0", "ENGINENODE_HTTP_TLS": "true",
                "ENGINENODE_HTTP_NAMES": "operator.test=admin",
                "ENGINENODE_TLS_CERTIFICATE": authority.path("\(name).pem"),
                "ENGINENODE_TLS_KEY": authority.path("\(name).key"),
                "ENGINENODE_TLS_AUTHORITY": authority.roots,
                "ENGINENODE_TLS_NAMES": "node0.test=\(ids[0]),node1.test=\(ids[1])",
            ]
            let role = index == 0 ? ["leader", "--bootstrap"] : ["follower"]
            started.append(try start(role, environment))
        }
        try authority.issue("operator", name: "DNS:operator.test")
        let certificates = [
            "--authority", authority.roots, "--certificate", authority.path("operator.pem"),
            "--key", authority.path("operator.key"),
        ]
        var call = HTTPCall(
            address: NetworkAddress(host: "127.0.0.1", port: started[0].port),
            token: nil
        )
        call.tls = authority.files("operator", members: [:])

        // The follower may be on its way.
        while try await call.send("PUT", "/kv/a?followers=all", body: [1]).status != 200 {}
        let nodes = started.map { ["--node", "127.0.0.1:\($0.port)"] + certificates }
        let promoted = try run(["promote"] + nodes[1])
        let status = try run(["status"] + nodes[0])
        let stranger = try run(["status", "--node", "127.0.0.1:\(started[0].port)"])
        for node in started { node.process.terminate() }
        for node in started { node.process.waitUntilExit() }

        #expect(promoted.status == 0 && promoted.output.contains(#""role":"leader""#))
        #expect(status.status == 0 && status.output.contains(#""leader":"\#(ids[1])""#))
        #expect(stranger.status == 4)
        #expect(started.allSatisfy { $0.process.terminationStatus == 0 })
    }

    @Test func whatIsWrongIsOneLine() async throws {
        let missing = try run(["leader"])
        let nobody = try run(["status", "--node", "127.0.0.1:1"])
        let malformed = try run(["status", "--node", "here"])
        let others = try run(["follower"], ["ENGINENODE_STORE": directory.path])
        let exposed = try run(
            ["follower", "--insecure"],
            [
                "ENGINENODE_STORE": directory.path + "/member",
                "ENGINENODE_MEMBER": String(repeating: "1", count: 32),
                "ENGINENODE_VOTERS": [1, 2].map { String(repeating: "\($0)", count: 32) }
                    .joined(separator: ","),
                "ENGINENODE_NETWORK_LISTEN": "0.0.0.0:0",
                "ENGINENODE_NETWORK_PEERS":
                    String(repeating: "2", count: 32) + "=127.0.0.1:1",
            ]
        )

        let all = [missing, nobody, malformed, others, exposed]
        #expect(all.map(\.status) == [1, 4, 1, 1, 1])
        for run in all {
            #expect(run.errors.hasPrefix("error: ") && run.output.isEmpty)
            #expect(run.errors.filter(\.isNewline).count == 1, "\(run.errors)")
        }
    }
}
