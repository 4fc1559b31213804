import Foundation
import Testing
import ToolSupport

/// The forms of bytes that the tools share.
struct TextTests {
    private static let samples: [[UInt8]] = (0..<70).map { size in
        (0..<size).map { UInt8(truncatingIfNeeded: $0 * 37 + size * 11) }
    }

    @Test func base64IsTheStandardOne() {
        for bytes in Self.samples {
            let text = Base64.text(of: bytes)
            #expect(text == Data(bytes).base64EncodedString())
            #expect(Base64.bytes(of: Array(text.utf8)) == bytes)
        }
    }

    @Test(arguments: ["a", "ab==c", "abc", "ab=c", "====", "a===", "/x==", "ab!=", "abc\n"])
    func otherBase64IsRefused(_ text: String) {
        #expect(Base64.bytes(of: Array(text.utf8)) == nil)
    }

    @Test func hexadecimalDigitsGoBothWays() {
        for bytes in Self.samples {
            #expect(Hexadecimal.bytes(of: Hexadecimal.text(of: bytes)) == bytes)
        }
        #expect(Hexadecimal.text(of: [0, 0x9a, 0xff]) == "009aff")
        for text in ["0", "0g", "é", " 0"] { #expect(Hexadecimal.bytes(of: text) == nil) }
    }

    @Test func fieldsOfTSVGoBothWays() {
        for bytes in Self.samples {
            var field: [UInt8] = []
            TSV.append(bytes, to: &field)
            #expect(!field.contains { [9, 10, 13].contains($0) })
            #expect(TSV.unescaped(field[...]).map(Array.init) == bytes)
        }
    }

    @Test func jsonIsWhatFoundationReads() throws {
        let text = String(String.UnicodeScalarView((1..<0x300).compactMap(Unicode.Scalar.init)))
        let line = JSON.object([
            ("a", .string(text)), ("b", .array([.integer(-1), .unsigned(.max), .boolean(true)])),
            ("c", .object([])), ("d", .array([])), ("e", .number(0.5)),
        ]).text

        let read = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]

        #expect(read?["a"] as? String == text)
        #expect((read?["b"] as? [Any])?.count == 3)
        #expect(line.hasSuffix(#""b":[-1,18446744073709551615,true],"c":{},"d":[],"e":0.5}"#))
        var scanner = JSONScanner(Array(line.utf8)[...])
        #expect(try scanner.members(["a", "x"]) == ["a": .string(Array(text.utf8))])
    }

    @Test func theScannerNeedsNoWholeText() throws {
        let line = Array(#"{"a":[{"b":"\ud83d\ude00"},1e-5,null],"id":"x\/\u00e9"}"#.utf8)
        for count in 0..<line.count {
            var scanner = JSONScanner(line[..<count])
            #expect(throws: JSONScanner.Failure.self) { try scanner.members(["id"]) }
        }
        var scanner = JSONScanner(line[...])
        #expect(try scanner.members(["id"]) == ["id": .string(Array("x/é".utf8))])
    }

    @Test func bytesThatAreNotUTF8GetAnotherName() {
        #expect(JSON.object([JSON.member("key", bytes: [0xff])]).text == #"{"keyBase64":"/w=="}"#)
        #expect(JSON.object([JSON.member("key", bytes: [0x6b])]).text == #"{"key":"k"}"#)
        #expect(
            JSON.object([JSON.member("key", bytes: [0xff], hex: true)]).text == #"{"key":"ff"}"#
        )
    }
}
