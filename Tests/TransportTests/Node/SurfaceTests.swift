import Foundation
import StorageEngine
import Testing

@testable import NodeService

/// What a node offers over HTTP does what it says.
@Suite(.timeLimit(.minutes(2))) struct SurfaceTests {
    @Test func whatIsPutIsGotUntilItIsDeleted() async throws {
        let node = try TestNode()
        let value = (0...255).map { UInt8($0) }

        let put = try await node.send("PUT", "/kv/key?ack=wal", body: value)
        let got = try await node.send("GET", "/kv/key")
        let deleted = try await node.send("DELETE", "/kv/key")
        let missing = try await node.send("GET", "/kv/key")

        let receipt = try #require(try put.objects().first)
        #expect(put.status == 200 && receipt["sequence"] as? Int == 1)
        #expect(["wal", "disk"].contains(receipt["reached"] as? String))
        #expect(receipt["degraded"] as? Bool == false)
        #expect(got.status == 200 && got.body == value)
        #expect(got.headers["content-type"] == "application/octet-stream")
        #expect(deleted.status == 200)
        #expect(missing.status == 404)
        #expect(try missing.error == "keyNotFound")
    }

    @Test func keysAreAnyBytes() async throws {
        let node = try TestNode()
        for path in ["/kv/", "/kv/%00%ff", "/kv/a/b%2Fc", "/kv/%C3%A9"] {
            #expect(try await node.send("PUT", path, text: path).status == 200)
        }

        #expect(try await node.send("GET", "/kv/%00%FF").text == "/kv/%00%ff")
        #expect(try await node.send("GET", "/kv/a/b/c").text == "/kv/a/b%2Fc")
        let keys = try await node.send("GET", "/scan").objects()
        #expect(keys.map { $0["key"] as? String } == ["", nil, "a/b/c", "é"])
        #expect(keys[1]["keyBase64"] as? String == "AP8=")
        for path in ["/kv/%0", "/kv/%zz", "/kv/%+1"] {
            #expect(try await node.send("GET", path).status == 400)
        }
    }

    @Test func aBatchIsDoneWholeOrNotAtAll() async throws {
        let node = try TestNode()
        for name in ["a1", "a2", "b1"] {
            #expect(try await node.send("PUT", "/kv/\(name)", text: "old").status == 200)
        }
        let broken = """
            {"op":"put","key":"c","value":"1"}
            {"op":"put","key":"d"}
            """
        let whole = """
            {"op":"deleteRange","from":"a","to":"b"}
            {"op":"delete","key":"b1"}

            {"op":"put","key":"c","valueBase64":"/wA="}
            """

        let refused = try await node.send("POST", "/batch", text: broken)
        let untouched = try await node.send("GET", "/scan")
        let done = try await node.send("POST", "/batch", text: whole)

        #expect(refused.status == 400)
        #expect(refused.text.contains("line 2: value is missing"))
        #expect(untouched.lines.count == 3)
        #expect(done.status == 200)
        #expect(try await node.send("GET", "/scan").lines == [#"{"key":"c","valueBase64":"/wA="}"#])
        for line in ["{", #"{"key":"a"}"#, #"{"op":"sing"}"#, #"{"op":"put","key":1,"value":""}"#] {
            #expect(try await node.send("POST", "/batch", text: line).status == 400, "\(line)")
        }
    }

    @Test func scansAreBoundedAsAsked() async throws {
        let node = try TestNode()
        let batch = (0..<3000).map { index in
            #"{"op":"put","key":"k\#(10_000 + index)","value":"\#(index)"}"#
        }
        #expect(
            try await node.send("POST", "/batch", text: batch.joined(separator: "\n")).status == 200
        )

        let all = try await node.send("GET", "/scan")
        let few = try await node.send("GET", "/scan?from=k10010&to=k10020&limit=3")
        let prefix = try await node.send("GET", "/scan?prefix=k1001")
        let none = try await node.send("GET", "/scan?prefix=x")

        #expect(all.lines.count == 3000)
        #expect(all.headers["content-type"] == "application/x-ndjson")
        #expect(
            few.lines == (10...12).map { #"{"key":"k100\#($0)","value":"\#($0)"}"# }
        )
        #expect(prefix.lines.count == 10 && none.lines.isEmpty)
        #expect(try await node.send("GET", "/scan?prefix=a&from=b").status == 400)
        #expect(try await node.send("GET", "/scan?limit=-1").status == 400)
    }

    @Test func changesGoOnWhereAClientWas() async throws {
        let node = try TestNode()
        #expect(try await node.send("PUT", "/kv/a", text: "1").status == 200)
        #expect(try await node.send("DELETE", "/kv/a").status == 200)
        let range = #"{"op":"deleteRange","from":"x"}"#
        #expect(try await node.send("POST", "/batch", text: range).status == 200)

        let first = try #require(try await node.send("GET", "/changes?limit=1").objects().first)
        let position = try #require(first["position"] as? String)
        let rest = try await node.send("GET", "/changes?limit=2&after=\(position)").objects()

        let operations = ([first] + rest).map { $0["operations"] as? [[String: String]] }
        #expect(
            operations == [
                [["op": "put", "key": "a", "value": "1"]], [["op": "delete", "key": "a"]],
                [["op": "deleteRange", "from": "x"]],
            ]
        )
        #expect(([first] + rest).map { $0["sequence"] as? Int } == [1, 2, 3])
    }

    @Test func changesComeAsTheyAreMade() async throws {
        let node = try TestNode()
        let peer = try RawPeer.connected(to: node.server.port)
        try peer.write(Array("GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        var text = ""
        for index in 1...3 {
            #expect(try await node.send("PUT", "/kv/key\(index)", text: "v").status == 200)
            while !text.contains("key\(index)") {
                let bytes = await peer.read()
                try #require(!bytes.isEmpty)
                text += String(decoding: bytes, as: UTF8.self)
            }
        }

        #expect(node.server.admission.streams.taken == 1)
    }

    @Test func positionsOfOtherHistoriesAreRefused() async throws {
        let node = try TestNode()
        #expect(try await node.send("PUT", "/kv/a", text: "1").status == 200)

        let ahead = try await node.send("GET", "/changes?after=0-0000000000000000:9")
        let other = try await node.send(
            "GET",
            "/changes?after=7-0000000000000007:1:0000000000000001"
        )
        let late = try await node.send("GET", "/kv/a?after=0-0000000000000000:9")
        let now = try await node.send("GET", "/kv/a?after=0-0000000000000000:1")

        #expect(ahead.status == 409 && other.status == 409 && late.status == 409)
        #expect(try ahead.error == "ahead")
        #expect(try other.error == "diverged")
        #expect(now.status == 200)
    }

    @Test func whatIsNotThereIsTold() async throws {
        let node = try TestNode()

        #expect(try await node.send("GET", "/nothing").status == 404)
        #expect(try await node.send("DELETE", "/scan").status == 405)
        #expect(try await node.send("POST", "/kv/a").status == 405)
        #expect(try await node.send("GET", "/kv/a?afer=1").text.contains("unknown parameter afer"))
        #expect(try await node.send("PUT", "/kv/a?ack=never", text: "").status == 400)
        #expect(try await node.send("PUT", "/kv/a?followers=1", text: "").status == 400)
        let long = String(repeating: "k", count: Limits.keySize + 1)
        let tooLong = try await node.send("PUT", "/kv/\(long)", text: "")
        #expect(tooLong.status == 400 || tooLong.status == 431 || tooLong.status == 414)
    }

    @Test func aNodeSaysHowItIs() async throws {
        let node = try TestNode()
        #expect(try await node.send("PUT", "/kv/a", text: "1").status == 200)

        let status = try #require(try await node.send("GET", "/status").objects().first)
        let health = try await node.send("GET", "/health")

        #expect(status["role"] as? String == "leader" && status["sequence"] as? Int == 1)
        let members = try #require(status["members"] as? [[String: Any]])
        #expect(members.map { $0["role"] as? String } == ["leader"])
        #expect(members[0]["reached"] as? [String: Int] != nil)
        #expect((status["shortfall"] as? [String: Any])?["state"] as? String == "none")
        #expect(health.status == 200 && health.text.contains(#""status":"ok""#))

        try await node.node.close()
        let after = try await node.send("GET", "/health")
        #expect(after.status == 503)
        #expect(try await node.send("GET", "/kv/a").status == 503)
        #expect(try await node.send("GET", "/status").text.contains("trouble"))
    }

    @Test func metricsAreWhatPrometheusReads() async throws {
        let node = try TestNode()
        #expect(try await node.send("PUT", "/kv/a?ack=disk", text: "1").status == 200)

        let answer = try await node.send("GET", "/metrics")

        #expect(answer.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
        #expect(answer.lines.contains(#"storage_engine_writes_total{ack="disk"} 1"#))
        #expect(answer.lines.contains("storage_engine_node_up 1"))
        let sample = /storage_engine_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+/
        for line in answer.lines where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: sample) != nil, "\(line)")
        }
        let types = answer.lines.filter { $0.hasPrefix("# TYPE") }
        #expect(Set(types).count == types.count && types.count > 20)
    }

    @Test func thePageNeedsNothingFromElsewhere() async throws {
        let answer = try await TestNode().send("GET", "/")

        #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
        #expect(answer.headers["content-security-policy"]?.contains("default-src 'none'") == true)
        for part in ["http://", "https://", "src=", "@import", "url("] {
            #expect(!answer.text.contains(part), "\(part)")
        }
    }
}
