import Foundation
import StorageEngine
import Testing

/// What the shell is told, and what is left alone.
struct ExitTests {
    private let ctl: Ctl

    init() throws { ctl = try Ctl() }

    private static let readers = [
        ["get", "key"], ["scan"], ["export"], ["stats"], ["verify"],
    ]

    private func run(_ arguments: [String]) throws -> Tool {
        try Tool("enginectl", ["--db", ctl.store] + arguments, in: ctl.scratch)
    }

    @Test func helpAndVersionSucceed() throws {
        for tool in ["enginectl", "enginebench"] {
            let version = try Tool(tool, ["--version"], in: ctl.scratch)
            #expect(version.status == 0)
            #expect(version.output.wholeMatch(of: #/\d+\.\d+\.\d+\n/#) != nil)
        }
        let commands = ["get", "put", "delete", "scan", "export", "import", "stats", "verify"]
        for arguments in [["--help"]] + commands.map({ [$0, "--help"] }) {
            let help = try Tool("enginectl", arguments, in: ctl.scratch)
            #expect(help.status == 0 && help.errors.isEmpty)
            #expect(help.output.contains("Example"), "\(arguments)")
        }
    }

    @Test(arguments: [
        ["bogus"], ["get"], ["get", "key", "--bogus"], ["scan", "--limit", "x"], ["delete"],
        ["import", "--ack", "never"], ["import", "--batch-size", "0"],
        ["stats", "--format", "xml"],
    ])
    func wrongArgumentsAreToldInTheCommonForm(_ arguments: [String]) throws {
        let tool = try run(arguments)

        #expect(tool.status == 1)
        #expect(tool.errors.hasPrefix("error: reading the arguments: "))
        #expect(tool.output.isEmpty)
        #expect(try ctl.scratch.names().isEmpty)
    }

    @Test func theDirectoryIsNeeded() throws {
        let tool = try Tool("enginectl", ["get", "key"], in: ctl.scratch)

        #expect(tool.status == 1 && tool.errors.hasPrefix("error: "))
    }

    @Test(arguments: readers + [["delete", "key"]])
    func onlyPutAndImportMakeAStore(_ arguments: [String]) throws {
        #expect(try run(arguments).status == 5)
        #expect(try ctl.scratch.names().isEmpty)

        try FileManager.default.createDirectory(
            atPath: ctl.store,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
        #expect(try run(arguments).status == 5)
        #expect(try ctl.scratch.names(in: "store").isEmpty)
    }

    @Test func anInputThatIsNotThereMakesNoStore() throws {
        let tool = try ctl("import", ctl.scratch.path + "/absent")

        #expect(tool.status == 4 && tool.errors.hasPrefix("error: "))
        #expect(try ctl.scratch.names().isEmpty)
    }

    @Test func aRunningEngineKeepsOthersOut() throws {
        let engine = try Engine.open(at: ctl.store)
        try engine.put("value", for: "key")

        for arguments in Self.readers {
            let tool = try run(arguments)
            #expect(tool.status == 5)
            #expect(tool.errors.contains("locked, use enginedump"))
        }
        #expect(try run(["put", "key", "other"]).status == 5)
        try engine.close()
        #expect(try ctl("get", "key").output == "value")
    }

    @Test func readersWorkBesideEachOther() throws {
        _ = try ctl("put", "key", "value")
        var options = Engine.Options()
        options.readOnly = true
        let engine = try Engine.open(at: ctl.store, options: options)

        for arguments in Self.readers { #expect(try run(arguments).status == 0) }
        #expect(try run(["put", "key", "other"]).status == 5)
        try engine.close()
    }

    /// Every file of the store with its bytes.
    private func contents() throws -> [String: Data] {
        var contents: [String: Data] = [:]
        for name in try ctl.scratch.names(in: "store") {
            contents[name] = FileManager.default.contents(atPath: ctl.store + "/" + name)
        }
        return contents
    }

    private func logFile() throws -> String {
        let names = try ctl.scratch.names(in: "store")
        let name = try #require(names.first { $0.hasSuffix(".log") || $0.hasPrefix("log") })
        return ctl.store + "/" + name
    }

    @Test func readersChangeNothing() throws {
        try writeWithoutClosing()
        let before = try contents()

        for arguments in Self.readers { #expect(try run(arguments).status == 0) }

        #expect(try contents() == before)
    }

    /// Leaves a store as the death of its process does.
    private func writeWithoutClosing() throws {
        var options = Engine.Options()
        options.logFileSize = 16_384
        let engine = try Engine.open(at: ctl.store, options: options)
        try engine.put("value", for: "key", ack: .wal)
    }

    @Test func aTornTailIsReportedAndNoDamage() throws {
        try writeWithoutClosing()
        let path = try logFile()
        var bytes = try #require(FileManager.default.contents(atPath: path))
        // The header and the only frame end long before.
        let end = try #require(bytes[..<8192].lastIndex { $0 != 0 })
        bytes.replaceSubrange(end + 9..<end + 25, with: repeatElement(0xab, count: 16))
        try bytes.write(to: URL(fileURLWithPath: path))

        let tool = try ctl("verify", "--format", "json")

        #expect(tool.status == 0, "\(tool.errors)")
        #expect(try #require(tool.object()["tornBytes"] as? Int) > 0)
        #expect(try ctl("get", "key").output == "value")
    }

    @Test func damageIsCorruption() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\n".utf8))
        let path = try logFile()
        var bytes = try #require(FileManager.default.contents(atPath: path))
        bytes[4096 + 30] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))

        for arguments in Self.readers {
            let tool = try run(arguments)
            #expect(tool.status == 2)
            #expect(tool.errors.hasPrefix("error: ") && tool.errors.contains("offset"))
        }
    }

    @Test func aMissingLogFileIsAGap() throws {
        _ = try ctl.imports(Data("a\t1\n".utf8))
        try FileManager.default.removeItem(atPath: logFile())

        #expect(try ctl("verify").status == 3)
    }

    @Test func aClosedStandardOutputEndsAToolSilently() throws {
        let lines = (0..<5000).map { "\($0)\t" + String(repeating: "v", count: 100) + "\n" }
        _ = try ctl.imports(Data(lines.joined().utf8))
        for arguments in [["export"], ["scan", "--format", "json"], ["stats"]] {
            let process = Tool.process("enginectl", ["--db", ctl.store] + arguments)
            let (output, errors) = (Pipe(), Pipe())
            process.standardOutput = output
            process.standardError = errors
            try output.fileHandleForReading.close()
            try process.run()
            try output.fileHandleForWriting.close()
            let said = errors.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
            #expect(process.terminationReason == .exit)
            #expect(said.isEmpty)
        }
    }

    @Test func anAbsentStandardOutputIsNoFileOfTheStore() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let tool = try #require(Tool.process("enginectl", []).executableURL?.path)
        process.arguments = ["-c", "printf 'a\\t1\\n' | '\(tool)' --db '\(ctl.store)' import >&-"]
        try process.run()
        process.waitUntilExit()

        #expect(try ctl("verify").status == 0)
        #expect(try ctl("get", "a").output == "1")
    }

    @Test func keysAndValuesBeyondTheLimitsAreRefused() throws {
        let key = String(repeating: "k", count: Limits.keySize)

        #expect(try ctl("put", key, "value").status == 0)
        #expect(try ctl("put", key + "k", "value").status == 1)
        let tool = try ctl.imports(Data("a\t1\n\(key)k\t2\n".utf8), "--format", "json")
        #expect(tool.status == 1 && tool.errors.contains("line 2"))
        #expect(try tool.object()["acked"] as? Int == 1)
    }
}
