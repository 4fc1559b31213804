import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct FileNameTests {
    static let golden: [(FileName, String)] = [
        (.store, "STORE"), (.temporaryStore, "STORE.tmp"), (.lock, "LOCK"),
        (.quarantine, "quarantine"),
        (.log(1), "0000000001.log"), (.log(9_999_999_999), "9999999999.log"),
        (.log(10_000_000_000), "10000000000.log"), (.log(.max), "18446744073709551615.log"),
        (.temporaryLog(42), "0000000042.log.tmp"),
        (.manifest(1), "0000000001.manifest"), (.manifest(.max), "18446744073709551615.manifest"),
        (.segment(7), "0000000007.segment"), (.segment(10_000_000_000), "10000000000.segment"),
        (.backup(3), "0000000003.backup"), (.temporaryBackup(3), "0000000003.backup.tmp"),
        (.savedLog(2, checksum: 0), "0000000002-0000000000000000.log"),
        (.savedLog(.max, checksum: .max), "18446744073709551615-ffffffffffffffff.log"),
        (.savedSegment(7, checksum: 0xabc), "0000000007-0000000000000abc.segment"),
    ]

    @Test(arguments: golden)
    func spellingIsPinned(name: FileName, spelling: String) {
        #expect(name.description == spelling)
        #expect(FileName(parsing: spelling) == name)
    }

    @Test(arguments: [
        "", ".", "..", "1.log", "0000000000.log", "+000000001.log", "-000000001.log",
        "00000000001.log", "18446744073709551616.log", "99999999999999999999.log",
        "0000000001", "0000000001.", "0000000001.log.", "0000000001.LOG", "0000000001.log.tmp.tmp",
        "000000000a.log", " 0000000001.log", "0000000001.log ", "0000000001.log\0", ".log",
        "٠٠٠٠٠٠٠٠٠١.log", "store", "STORE.TMP", "STORE/", "LOCK.tmp", "quarantine.tmp",
        "1.manifest", "0000000001.manifest.tmp", "0000000000.segment", "0000000001.segment.tmp",
        "0000000001.SEGMENT", "manifest", ".segment", "0000000001-.log", "0000000001-0.segment",
        "0000000001-0000000000000ABC.segment", "0000000001-0000000000000abc.manifest",
        "0000000001-00000000000000abc.log", "0000000001-+000000000000abc.log",
        "0000000001-0000000000000abc.log.tmp", "0000000000-0000000000000abc.log",
        "-0000000000000abc.segment", "0000000001-0000000000000abc", "1.backup",
    ])
    func onlyTheCanonicalSpellingParses(spelling: String) {
        #expect(FileName(parsing: spelling) == nil)
    }

    @Test func aNameThatOnlyLooksAlikeDoesNotParse() {
        // Equal as Swift strings, and another name on the disk: its K is the Kelvin sign.
        let lookalike = "LOC\u{212A}"
        #expect(lookalike == "LOCK")

        #expect(FileName(parsing: lookalike) == nil)
    }

    @Test func namesOrderByKindAndNumber() {
        let names: [FileName] = [
            .savedLog(3, checksum: 1), .savedLog(2, checksum: 9), .savedLog(2, checksum: 4),
            .backup(1), .segment(2), .manifest(3), .temporaryLog(1), .log(10_000_000_000),
            .segment(1), .log(2),
            .lock, .store,
        ]

        #expect(
            names.sorted() == [
                .store, .lock, .log(2), .log(10_000_000_000), .temporaryLog(1), .manifest(3),
                .segment(1), .segment(2), .backup(1), .savedLog(2, checksum: 4),
                .savedLog(2, checksum: 9), .savedLog(3, checksum: 1),
            ]
        )
    }
}
