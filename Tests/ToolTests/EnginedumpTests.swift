import Foundation
import StorageEngine
import Testing

/// The contract of enginedump, on stores that enginectl made.
struct EnginedumpTests {
    private let ctl: Ctl

    init() throws {
        ctl = try Ctl()
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            let put = try Tool(
                "enginectl",
                ["--db", ctl.store, "put", key, value],
                in: ctl.scratch
            )
            try #require(put.status == 0)
        }
    }

    private func dump(_ arguments: String...) throws -> Tool {
        try Tool("enginedump", arguments, in: ctl.scratch)
    }

    private func damage(_ file: String, at offset: UInt64) throws {
        let path = ctl.store + "/" + file
        let handle = try #require(FileHandle(forUpdatingAtPath: path))
        try handle.seek(toOffset: offset)
        try handle.write(contentsOf: Data([0x55]))
        try handle.close()
    }

    @Test func aHealthyLogIsShownRecordByRecord() throws {
        let tool = try dump("wal", ctl.store, "--format", "json")

        #expect(tool.status == 0)
        let records = tool.lines.filter { $0.hasPrefix(#"{"type":"record""#) }
        #expect(records.count == 3)
        #expect(records[0].contains(#""file":"0000000001.log","offset":4096,"sequence":1"#))
        #expect(records[2].contains(#""operation":"put","key":"a","value":"3""#))
    }

    @Test func findShowsEveryVersionAndMissesWithSix() throws {
        let found = try dump("find", ctl.store, "a")
        let missed = try dump("find", ctl.store, "zz")

        #expect(found.status == 0 && found.lines.count == 2)
        #expect(missed.status == 6 && missed.output.isEmpty)
    }

    @Test func filtersApply() throws {
        let prefix = try dump("wal", ctl.store, "--prefix", "62", "--no-values", "--hex")
        let sequences = try dump(
            "wal",
            ctl.store,
            "--from-seq",
            "2",
            "--to-seq",
            "2",
            "--limit",
            "1"
        )
        let frames = try dump("wal", ctl.store + "/0000000002.log", "--frames")

        #expect(prefix.output.contains("key=62") && !prefix.output.contains("value="))
        #expect(sequences.lines.count == 1 && sequences.output.contains("sequence=2"))
        #expect(frames.lines.count == 3 && frames.status == 0)
    }

    @Test func rangeDeletesAreShownWhereTheyTouchAKey() throws {
        let engine = try Engine.open(at: ctl.store)
        try engine.deleteRange(KeyRange(from: Array("b".utf8), to: Array("d".utf8)))
        try engine.deleteRange(KeyRange(from: [0xff]))
        try engine.close()

        let text = try dump("wal", ctl.store, "--from-seq", "4")
        let json = try dump("wal", ctl.store, "--from-seq", "4", "--format", "json")
        let hex = try dump("wal", ctl.store, "--from-seq", "4", "--hex")
        let found = try dump("find", ctl.store, "c")
        let prefix = try dump("wal", ctl.store, "--from-seq", "4", "--prefix", "c")
        let bounds = try dump("wal", ctl.store, "--from-seq", "4", "--from", "a", "--to", "b")

        #expect(text.output.contains("operation=deleteRange key=b upperKey=d"))
        #expect(json.output.contains(#""operation":"deleteRange","key":"b","upperKey":"d"}"#))
        #expect(json.output.contains(#""operation":"deleteRange","keyBase64":"/w=="}"#))
        #expect(hex.output.contains("operation=deleteRange key=62 upperKey=64"))
        #expect(found.status == 0 && found.lines.count == 1)
        #expect(records(prefix) == 1 && records(bounds) == 0)
    }

    private func records(_ tool: Tool) -> Int {
        tool.lines.count { $0.contains(" record ") }
    }

    @Test func damageEndsWithTwoAndShowsTheRest() throws {
        try damage("0000000002.log", at: 4100)

        let tool = try dump("wal", ctl.store)
        let check = try dump("wal", ctl.store, "--check", "--format", "json")
        let gaps = try dump("wal", ctl.store, "--only-gaps")

        #expect(tool.status == 2 && tool.output.contains("sequence=3"))
        #expect(check.status == 2 && check.output.contains(#""damaged":true"#))
        #expect(gaps.status == 2 && gaps.lines.count == 1)
    }

    @Test func aMissingFileEndsWithThree() throws {
        try FileManager.default.removeItem(atPath: ctl.store + "/0000000002.log")

        let tool = try dump("wal", ctl.store)

        #expect(tool.status == 3 && tool.output.contains("logGap"))
    }

    @Test func nothingThereIsAnInputError() throws {
        let tool = try dump("wal", ctl.scratch.path + "/none")

        #expect(tool.status == 4 && tool.errors.hasPrefix("error: "))
    }
}
