import Foundation
import Testing

/// import, and what export makes of it.
struct ImportTests {
    private let ctl: Ctl

    init() throws { ctl = try Ctl() }

    /// Records with every byte in keys and values, empty ones among them; as TSV.
    private static let records: Data = {
        var generator = SeededBytes(state: 7)
        var lines: [[UInt8]] = [[9]]
        for index in 0..<300 {
            var line = Array("\(index)".utf8)
            for _ in 0..<generator.next() % 9 { line += escaped(generator.next()) }
            line.append(9)
            for _ in 0..<generator.next() { line += escaped(generator.next()) }
            lines.append(line)
        }
        return Data(lines.joined(separator: [10])) + [10]
    }()

    private static func escaped(_ byte: UInt8) -> [UInt8] {
        switch byte {
        case 9: Array(#"\t"#.utf8)
        case 10: Array(#"\n"#.utf8)
        case 13: Array(#"\r"#.utf8)
        case 92: Array(#"\\"#.utf8)
        default: [byte]
        }
    }

    @Test(arguments: ["1", "7", "1000"])
    func exportOfAnImportIsByteIdentical(batchSize: String) throws {
        let (second, third) = (ctl.store + "2", ctl.store + "3")
        #expect(try ctl.imports(Self.records, "--batch-size", batchSize).status == 0)
        let text = try ctl("export").bytes
        let json = try ctl("export", "--format", "json").bytes

        #expect(try ctl.imports(text, store: second).status == 0)
        let path = try ctl.scratch.write(json, to: "export.ndjson")
        #expect(try ctl("import", path, store: third).status == 0)

        #expect(text.count == Self.records.count)
        #expect(try ctl("export", store: second).bytes == text)
        #expect(try ctl("export", "--format", "json", store: third).bytes == json)
        #expect(try ctl("export", store: third).bytes == text)
    }

    @Test func theLastLineNeedsNoEnd() throws {
        #expect(try ctl.imports(Data("a\t1\nb\t2".utf8)).status == 0)
        #expect(try ctl("scan").output == "a\t1\nb\t2\n")
    }

    @Test func aLineWithoutTabHasAnEmptyValue() throws {
        #expect(try ctl.imports(Data("key\n".utf8)).status == 0)
        #expect(try ctl("scan").output == "key\t\n")
    }

    @Test func theKeyIsAnyFieldOfTSV() throws {
        let input = Data("a\tb\\t\tc\td\n1\t2\t3\t4".utf8)

        #expect(try ctl.imports(input, "--key-field", "2").status == 0)
        #expect(try ctl("scan").output == "2\t1\\t3\\t4\nb\\t\ta\\tc\\td\n")

        let last = ctl.store + "2"
        #expect(try ctl.imports(input, "--key-field", "4", store: last).status == 0)
        #expect(try ctl("scan", store: last).output == "4\t1\\t2\\t3\nd\ta\\tb\\t\\tc\n")

        let tool = try ctl.imports(input, "--key-field", "5")
        #expect(tool.status == 1 && tool.errors.contains("line 1"))
        #expect(try ctl.imports(input, "--key-field", "name").status == 1)
        #expect(try ctl.imports(input, "--key-field", "0").status == 1)
    }

    @Test func theKeyIsAMemberOfNDJSON() throws {
        let lines = [
            #"{"n":{"id":"not this"},"id":"\u0061\ud83d\ude00\n","x":[1,{"id":2}]}"#,
            #" { "id" : -1.5e3 , "t" : true } "#,
        ]
        let input = Data(lines.joined(separator: "\n").utf8)

        #expect(
            try ctl.imports(input, "--input-format", "ndjson", "--key-field", "id").status == 0
        )

        #expect(try ctl("get", "a😀\n").output == lines[0])
        #expect(try ctl("get", "--", "-1.5e3").output == lines[1])
    }

    @Test(arguments: [
        "x", "", "[]", "{}", #"{"id":null}"#, #"{"id":"a"} x"#, #"{"id":"\ud800"}"#,
        #"{"id":"\x"}"#, #"{"id":01}"#, #"{"id":"a",}"#, "{\"id\":\"a\tb\"}", #"{"id":"a""#,
        #"{"id":1,"x":"# + String(repeating: "[", count: 1000),
    ])
    func strictJSONIsExpected(_ line: String) throws {
        let tool = try ctl.imports(
            Data("{\"id\":\"good\"}\n\(line)\n".utf8),
            "--input-format",
            "ndjson",
            "--key-field",
            "id"
        )

        #expect(tool.status == 1)
        #expect(tool.errors.hasPrefix("error: ") && tool.errors.contains("line 2"))
        #expect(try ctl("get", "good").status == 0)
    }

    @Test(arguments: [#"a\x"#, #"a\"#, "k\t\\0", "k\t1\\"])
    func aWrongEscapeIsToldWithItsLine(_ line: String) throws {
        let tool = try ctl.imports(
            Data("one\t1\ntwo\t2\n\(line)\nfour\t4\n".utf8),
            "--format",
            "json",
            "--batch-size",
            "100"
        )

        #expect(tool.status == 1)
        #expect(tool.errors.hasPrefix("error: ") && tool.errors.contains("line 3"))
        #expect(try tool.object()["acked"] as? Int == 2)
        #expect(try ctl("scan").output == "one\t1\ntwo\t2\n")
    }

    @Test(arguments: [UInt64(1), 600, 1500])
    func ackedCountsAreReportedOftenEnough(batchSize: UInt64) throws {
        let input = Data((0..<4321).map { "\($0)\tv\n" }.joined().utf8)

        let tool = try ctl.imports(
            input,
            "--format",
            "json",
            "--batch-size",
            "\(batchSize)",
            "--skip",
            "21"
        )

        #expect(tool.status == 0)
        let pattern = #/\{"acked":(\d+),"sequence":(\d+)\}/#
        let acked = try tool.lines.map {
            try UInt64(#require($0.wholeMatch(of: pattern)).output.1) ?? 0
        }
        #expect(acked.last == 4300)
        let steps = zip(acked, [0] + acked).map { $0 - $1 }
        #expect(steps.allSatisfy { $0 <= max(1000, batchSize) })
        #expect(try ctl("get", "20").status == 6)
        #expect(try ctl("get", "21").status == 0)
    }

    @Test func nothingImportedIsReportedToo() throws {
        let tool = try ctl.imports(Data(), "--format", "json")

        #expect(tool.status == 0)
        #expect(tool.output == #"{"acked":0,"sequence":0}"# + "\n")
        #expect(try ctl("stats").status == 0)
        #expect(
            try ctl.imports(Data("a\t1\n".utf8), "--skip", "5", "--format", "json").output
                == #"{"acked":0,"sequence":0}"# + "\n"
        )
    }

    @Test func ofARepeatedKeyTheLastCounts() throws {
        #expect(try ctl.imports(Data("a\t1\na\t2\n".utf8), "--batch-size", "2").status == 0)
        #expect(try ctl("get", "a").output == "2")
    }

    @Test func aSignalEndsAnImportThatWaitsForInput() throws {
        let process = Tool.process(
            "enginectl",
            ["--db", ctl.store, "import", "--format", "json"]
        )
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let lines = (0..<1500).map { String(format: "%04d\tv\n", $0) }.joined()
        try input.fileHandleForWriting.write(contentsOf: Data(lines.utf8))
        var text = ""
        while !text.contains("\n") {
            text += String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        }

        process.interrupt()
        text += String(
            decoding: output.fileHandleForReading.readDataToEndOfFile(),
            as: UTF8.self
        )
        process.waitUntilExit()

        #expect(process.terminationStatus == 5)
        let last = try #require(text.split(separator: "\n").last)
        let acked = try #require(Int(last.drop { !$0.isNumber }.prefix { $0.isNumber }))
        #expect(acked >= 1000)
        #expect(try ctl("scan").lines.count == acked)
    }

    private struct SeededBytes {
        var state: UInt64

        mutating func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
    }
}
