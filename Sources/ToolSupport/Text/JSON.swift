/// A JSON value whose members keep their order.
package enum JSON: Sendable {
    case string(String)
    case integer(Int)
    case unsigned(UInt64)
    /// Printed with up to three decimals.
    case number(Double)
    case boolean(Bool)
    case null
    case array([JSON])
    case object([(name: String, value: JSON)])

    /// The value on one line.
    package var text: String {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// As ``text``, but a string is itself.
    package var plainText: String {
        if case .string(let string) = self { string } else { text }
    }

    /// Appends the value to a line.
    package func append(to line: inout [UInt8]) {
        switch self {
        case .string(let string): line.append(quoting: string.utf8)
        case .integer(let integer): line.append(contentsOf: String(integer).utf8)
        case .unsigned(let integer): line.append(contentsOf: String(integer).utf8)
        case .number(let number): line.append(contentsOf: Self.rounded(number).utf8)
        case .boolean(let boolean): line.append(contentsOf: String(boolean).utf8)
        case .null: line.append(contentsOf: "null".utf8)
        case .array(let values): Self.append(values, to: &line)
        case .object(let members): Self.append(members, to: &line)
        }
    }

    private static func append(_ values: [JSON], to line: inout [UInt8]) {
        line.append(UInt8(ascii: "["))
        for (index, value) in values.enumerated() {
            if index > 0 { line.append(UInt8(ascii: ",")) }
            value.append(to: &line)
        }
        line.append(UInt8(ascii: "]"))
    }

    private static func append(_ members: [(name: String, value: JSON)], to line: inout [UInt8]) {
        line.append(UInt8(ascii: "{"))
        for (index, member) in members.enumerated() {
            if index > 0 { line.append(UInt8(ascii: ",")) }
            line.append(quoting: member.name.utf8)
            line.append(UInt8(ascii: ":"))
            member.value.append(to: &line)
        }
        line.append(UInt8(ascii: "}"))
    }

    private static func rounded(_ number: Double) -> String {
        guard number.isFinite else { return "0" }
        let rounded = (number * 1000).rounded() / 1000
        return rounded == rounded.rounded() && abs(rounded) < 1e15
            ? String(Int(rounded)) : String(rounded)
    }
}

extension JSON {
    /// A member that holds bytes: `name` with their text where they are UTF-8, else `nameBase64`;
    /// with hex, `name` with their hexadecimal digits.
    package static func member(
        _ name: String,
        bytes: [UInt8],
        hex: Bool = false
    ) -> (name: String, value: JSON) {
        if hex { return (name, .string(Hexadecimal.text(of: bytes))) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            return (name + "Base64", .string(Base64.text(of: bytes)))
        }
        return (name, .string(text))
    }
}

extension [UInt8] {
    /// Appends a member that holds bytes, as ``JSON/member(_:bytes:hex:)``.
    package mutating func append(member name: String, bytes: borrowing Span<UInt8>, hex: Bool) {
        append(UInt8(ascii: "\""))
        append(contentsOf: name.utf8)
        let text = unsafe bytes.withUnsafeBufferPointer { bytes in
            hex || (unsafe Self.isUTF8(bytes))
        }
        append(contentsOf: (text ? "\":" : "Base64\":").utf8)
        unsafe bytes.withUnsafeBufferPointer { bytes in
            if text, !hex { return unsafe append(quoting: bytes) }
            append(UInt8(ascii: "\""))
            if hex {
                unsafe Hexadecimal.append(bytes, to: &self)
            } else {
                unsafe Base64.append(bytes, to: &self)
            }
            append(UInt8(ascii: "\""))
        }
    }

    private static func isUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        unsafe bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
    }

    /// Appends a JSON string of UTF-8 bytes.
    package mutating func append(quoting bytes: some Sequence<UInt8>) {
        append(UInt8(ascii: "\""))
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0x0a: append(contentsOf: "\\n".utf8)
            case 0x0d: append(contentsOf: "\\r".utf8)
            case 0x09: append(contentsOf: "\\t".utf8)
            case 0..<0x20:
                append(contentsOf: "\\u00".utf8)
                append(Hexadecimal.digit(byte >> 4))
                append(Hexadecimal.digit(byte & 15))
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}
