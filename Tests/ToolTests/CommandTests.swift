import Foundation
import Testing

/// get, put, delete, scan, export, stats and verify.
struct CommandTests {
    private let ctl: Ctl

    init() throws { ctl = try Ctl() }

    @Test func whatIsPutIsGotByteForByte() throws {
        let value = Data((0..<256).map { UInt8($0) })
        let path = try ctl.scratch.write(value, to: "value")

        #expect(try ctl("put", "key", "--value-file", path).status == 0)
        #expect(try ctl("get", "key").bytes == value)

        #expect(try ctl("put", "key", "-", input: "from\nstandard input").status == 0)
        #expect(try ctl("get", "key").output == "from\nstandard input")

        #expect(try ctl("put", "key", "", "--ack", "memory").status == 0)
        #expect(try ctl("get", "key").bytes.isEmpty)
    }

    @Test func putNeedsOneValue() throws {
        for arguments in [["put", "key"], ["put", "key", "value", "--value-file", "/dev/null"]] {
            let tool = try Tool("enginectl", ["--db", ctl.store] + arguments, in: ctl.scratch)
            #expect(tool.status == 1)
            #expect(tool.errors.hasPrefix("error: "))
        }
        #expect(try ctl.scratch.names().isEmpty)
    }

    @Test func aMissingKeyIsToldByTheExitCode() throws {
        _ = try ctl("put", "key", "value")

        let tool = try ctl("get", "other")

        #expect(tool.status == 6)
        #expect(tool.output.isEmpty && tool.errors.hasPrefix("error: "))
    }

    @Test func deleteRemovesAllItsKeys() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\nc\t3\n".utf8))

        #expect(try ctl("delete", "a", "c", "never there").status == 0)

        #expect(try ctl("scan").output == "b\t2\n")
        #expect(try ctl("get", "a").status == 6)
    }

    @Test func deleteRemovesARange() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\nba\t3\nc\t4\nd\t5\n".utf8))

        #expect(try ctl("delete", "a", "--prefix", "b").status == 0)
        #expect(try ctl("scan").output == "c\t4\nd\t5\n")
        #expect(try ctl("delete", "--from", "d").status == 0)
        #expect(try ctl("scan").output == "c\t4\n")
        #expect(try ctl("delete").status == 1)
    }

    @Test func importMayKeepLittleInMemory() throws {
        let records = (0..<2000).map { "key\($0)\tvalue \($0) of many\n" }.joined()
        let path = try ctl.scratch.write(Data(records.utf8), to: "records.tsv")

        let tool = try ctl(
            "import",
            path,
            "--write-buffer-size",
            "16384",
            "--log-file-size",
            "16384"
        )
        #expect(tool.status == 0, "\(tool.errors)")
        let stats = try ctl("stats", "--format", "json").object()
        #expect(stats["segments"] as? Int ?? 0 > 1)
        #expect(stats["keys"] as? Int == 2000)
        #expect(try ctl("import", path, "--write-buffer-size", "16383").status == 1)
    }

    @Test func boundsPrefixLimitAndDirection() throws {
        let keys = ["a", "ab", "abc", "b", "ba", "c"]
        _ = try ctl.imports(Data(keys.map { $0 + "\t\n" }.joined().utf8))
        func scan(_ arguments: String...) throws -> [String] {
            let tool = try Tool(
                "enginectl",
                ["--db", ctl.store, "scan"] + arguments,
                in: ctl.scratch
            )
            return tool.lines.map { String($0.dropLast()) }
        }

        #expect(try scan() == keys)
        #expect(try scan("--reverse") == keys.reversed())
        #expect(try scan("--from", "ab", "--to", "ba") == ["ab", "abc", "b"])
        #expect(try scan("--prefix", "a") == ["a", "ab", "abc"])
        #expect(try scan("--prefix", "a", "--from", "aa", "--to", "abc") == ["ab"])
        #expect(try scan("--prefix", "a", "--to", "z") == ["a", "ab", "abc"])
        #expect(try scan("--prefix", "b", "--from", "a") == ["b", "ba"])
        #expect(try scan("--from", "c", "--to", "a") == [])
        #expect(try scan("--limit", "2", "--reverse") == ["c", "ba"])
        #expect(try scan("--limit", "0") == [])
        #expect(try scan("--prefix", "b", "--reverse", "--limit", "1") == ["ba"])
    }

    @Test func textEscapesWhatWouldEndAFieldOrALine() throws {
        _ = try ctl("put", "k\t", "-", input: "a\\b\tc\nd\re")

        #expect(try ctl("scan").output == #"k\t"# + "\t" + #"a\\b\tc\nd\re"# + "\n")
        #expect(
            try ctl("scan", "--format", "json").output
                == #"{"key":"k\t","value":"a\\b\tc\nd\re"}"# + "\n"
        )
    }

    @Test func bytesThatAreNotUTF8AreBase64() throws {
        let path = try ctl.scratch.write(Data([0xff, 0, 1]), to: "value")
        _ = try ctl("put", "--hex", "ff", "--value-file", path)

        #expect(
            try ctl("export", "--format", "json").output
                == #"{"keyBase64":"/w==","valueBase64":"/wAB"}"# + "\n"
        )
        #expect(
            try ctl("get", "--hex", "ff", "--format", "json").output
                == #"{"key":"ff","value":"ff0001"}"# + "\n"
        )
        #expect(try ctl("export").bytes == Data([0xff, 9, 0xff, 0, 1, 10]))
    }

    @Test func hexIsForGivenKeysAndWhatIsPrinted() throws {
        _ = try ctl("put", "--hex", "00ff", "v\n")

        #expect(try ctl("get", "--hex", "00ff").output == "760a\n")
        #expect(try ctl("scan", "--hex", "--from", "00").output == "00ff\t760a\n")
        #expect(
            try ctl("scan", "--hex", "--prefix", "00", "--format", "json").output
                == #"{"key":"00ff","value":"760a"}"# + "\n"
        )
        #expect(try ctl("get", "--hex", "0").status == 1)
        #expect(try ctl("get", "--hex", "zz").status == 1)
        #expect(try ctl("delete", "--hex", "00ff").status == 0)
        #expect(try ctl("get", "--hex", "00ff").status == 6)
    }

    @Test func statsHaveAllMembers() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\na\t3\n".utf8))
        _ = try ctl("delete", "b")

        let stats = try ctl("stats", "--format", "json").object()

        #expect(
            Set(stats.keys) == [
                "historyID", "memberID", "epoch", "lastSequence", "keys", "indexBytes", "logFiles",
                "logBytes", "freeBytes", "frames", "records", "walBytesRaw", "walBytesStored",
                "tornBytes", "rewrittenRecords", "segments", "segmentBytes", "levels", "versions",
                "deadVersions", "deadBytes", "unflushedLogBytes", "slots", "lostSlots",
                "slotLagSequences", "slotLagBytes", "slotLagMilliseconds", "retainedLogBytes",
            ]
        )
        #expect(stats["keys"] as? Int == 1)
        #expect(stats["records"] as? Int == 4)
        #expect(stats["lastSequence"] as? Int == 4)
        #expect((stats["historyID"] as? String)?.count == 32)
        #expect((stats["epoch"] as? String)?.hasPrefix("2-") == true)
        #expect(try ctl("stats").lines.count == stats.count)
    }

    @Test func verifyCounts() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\n".utf8))

        let tool = try ctl("verify", "--format", "json")

        #expect(tool.status == 0)
        let report = try tool.object()
        #expect(
            Set(report.keys) == [
                "files", "frames", "records", "bytes", "tornBytes", "segments", "segmentEntries",
                "segmentBytes",
            ]
        )
        #expect(report["files"] as? Int == 1)
        #expect(report["records"] as? Int == 2)
        #expect(report["tornBytes"] as? Int == 0)
    }

    @Test func compactMovesEverythingIntoSegmentsAndDropsWhatIsDeleted() throws {
        _ = try ctl.imports(Data("a\t1\nb\t2\n".utf8))
        #expect(try ctl("compact").status == 0)
        _ = try ctl("delete", "a")

        let report = try ctl("compact", "--format", "json").object()

        #expect(report["segmentsBefore"] as? Int == 1)
        #expect(report["segments"] as? Int == 1)
        #expect(try ctl("verify", "--format", "json").object()["segmentEntries"] as? Int == 1)
        #expect(try ctl("get", "b").lines == ["2"])
    }
}
