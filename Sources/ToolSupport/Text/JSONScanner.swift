/// Finds a top-level member of a JSON object (RFC 8259) without building the rest. The text may be
/// hostile: nesting is bounded, and nothing is read beyond its end.
package struct JSONScanner {
    /// What a member is, as far as an importer cares.
    package enum Member: Equatable {
        case string([UInt8])
        /// A number's text.
        case number([UInt8])
        /// An object, an array or a literal.
        case other
    }

    package struct Failure: Error, Equatable {
        package let message: String
    }

    private static let depthMax = 64

    private let bytes: ArraySlice<UInt8>
    private var offset: Int

    package init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        offset = bytes.startIndex
    }

    /// The top-level members with one of these names; of several with one name the last.
    package mutating func members(_ names: Set<String>) throws(Failure) -> [String: Member] {
        var found: [String: Member] = [:]
        skipSpace()
        try expect("{", "an object")
        skipSpace()
        if peek == UInt8(ascii: "}") {
            offset += 1
        } else {
            repeat {
                skipSpace()
                let name = String(decoding: try string(), as: UTF8.self)
                skipSpace()
                try expect(":", "a colon")
                let value = try value(depth: 1)
                if names.contains(name) { found[name] = value }
                skipSpace()
            } while try continues(until: "}")
        }
        skipSpace()
        guard offset == bytes.endIndex else { throw failure("the end of the line") }
        return found
    }

    private var peek: UInt8? { offset < bytes.endIndex ? bytes[offset] : nil }

    private func failure(_ expected: String) -> Failure {
        Failure(
            message: "not JSON: expected \(expected) at column \(offset - bytes.startIndex + 1)"
        )
    }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0d || byte == 0x0a {
            offset += 1
        }
    }

    private mutating func expect(_ scalar: Unicode.Scalar, _ what: String) throws(Failure) {
        guard peek == UInt8(ascii: scalar) else { throw failure(what) }
        offset += 1
    }

    /// Whether a comma follows; the closing bracket is taken otherwise.
    private mutating func continues(until closing: Unicode.Scalar) throws(Failure) -> Bool {
        guard let byte = peek, byte == UInt8(ascii: ",") || byte == UInt8(ascii: closing) else {
            throw failure("a comma or \(closing)")
        }
        offset += 1
        return byte == UInt8(ascii: ",")
    }

    private mutating func value(depth: Int) throws(Failure) -> Member {
        guard depth <= Self.depthMax else { throw failure("at most \(Self.depthMax) levels") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): try nested(depth: depth, closing: "}", named: true)
        case UInt8(ascii: "["): try nested(depth: depth, closing: "]", named: false)
        case UInt8(ascii: "t"): try literal("true")
        case UInt8(ascii: "f"): try literal("false")
        case UInt8(ascii: "n"): try literal("null")
        default: return .number(try number())
        }
        return .other
    }

    private mutating func nested(
        depth: Int,
        closing: Unicode.Scalar,
        named: Bool
    ) throws(Failure) {
        offset += 1
        skipSpace()
        if peek == UInt8(ascii: closing) {
            offset += 1
            return
        }
        repeat {
            skipSpace()
            if named {
                _ = try string()
                skipSpace()
                try expect(":", "a colon")
            }
            _ = try value(depth: depth + 1)
            skipSpace()
        } while try continues(until: closing)
    }

    private mutating func literal(_ word: String) throws(Failure) {
        guard bytes[offset...].starts(with: word.utf8) else { throw failure("a value") }
        offset += word.utf8.count
    }

    private mutating func number() throws(Failure) -> [UInt8] {
        let start = offset
        if peek == UInt8(ascii: "-") { offset += 1 }
        if peek == UInt8(ascii: "0") { offset += 1 } else { try digits() }
        if peek == UInt8(ascii: ".") {
            offset += 1
            try digits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            offset += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
            try digits()
        }
        return Array(bytes[start..<offset])
    }

    private mutating func digits() throws(Failure) {
        let start = offset
        while let byte = peek, (0x30...0x39).contains(byte) { offset += 1 }
        guard offset > start else { throw failure("a value") }
    }

    private mutating func string() throws(Failure) -> [UInt8] {
        try expect("\"", "a string")
        var text: [UInt8] = []
        while let byte = peek {
            offset += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard String(validating: text, as: UTF8.self) != nil else { throw failure("UTF-8") }
                return text
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw failure("no control character")
            default: text.append(byte)
            }
        }
        throw failure("the end of a string")
    }

    private mutating func escape(into text: inout [UInt8]) throws(Failure) {
        guard let byte = peek else { throw failure("an escape") }
        offset += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): text.append(contentsOf: String(try scalar()).utf8)
        default: throw failure("an escape")
        }
    }

    /// The scalar of a `\u` escape, of two when they are a surrogate pair.
    private mutating func scalar() throws(Failure) -> Character {
        let first = try codeUnit()
        var value = first
        if (0xd800..<0xdc00).contains(first) {
            guard peek == UInt8(ascii: "\\") else { throw failure("a second surrogate") }
            offset += 1
            try expect("u", "a second surrogate")
            let second = try codeUnit()
            guard (0xdc00..<0xe000).contains(second) else { throw failure("a second surrogate") }
            value = 0x10000 + (first - 0xd800) << 10 + (second - 0xdc00)
        }
        guard let scalar = Unicode.Scalar(value) else { throw failure("a scalar") }
        return Character(scalar)
    }

    private mutating func codeUnit() throws(Failure) -> UInt32 {
        guard bytes.endIndex - offset >= 4 else { throw failure("four hexadecimal digits") }
        let digits = String(decoding: bytes[offset..<offset + 4], as: UTF8.self)
        guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
            let value = UInt32(digits, radix: 16)
        else { throw failure("four hexadecimal digits") }
        offset += 4
        return value
    }
}
