/// A JSON value whose members keep their order.
package enum JSON: Sendable {
    case string(String)
    case integer(Int)
    /// Printed with up to three decimals.
    case number(Double)
    case boolean(Bool)
    case object([(name: String, value: JSON)])

    /// The value on one line.
    package var text: String {
        switch self {
        case .string(let string): Self.quoted(string)
        case .integer(let integer): String(integer)
        case .number(let number): Self.rounded(number)
        case .boolean(let boolean): String(boolean)
        case .object(let members):
            "{"
                + members.map { "\(Self.quoted($0.name)):\($0.value.text)" }
                .joined(separator: ",") + "}"
        }
    }

    /// As ``text``, but a string is itself.
    package var plainText: String {
        if case .string(let string) = self { string } else { text }
    }

    private static func rounded(_ number: Double) -> String {
        guard number.isFinite else { return "0" }
        let rounded = (number * 1000).rounded() / 1000
        return rounded == rounded.rounded() && abs(rounded) < 1e15
            ? String(Int(rounded)) : String(rounded)
    }

    private static func quoted(_ string: String) -> String {
        var text = "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}

extension JSON {
    /// A member for bytes: a string under its name when they are UTF-8, else base64 under
    /// `nameBase64`; lowercase hexadecimal digits when those are asked for.
    package static func bytes(
        _ name: String,
        _ bytes: [UInt8],
        hex: Bool
    ) -> (name: String, value: JSON) {
        if hex { return (name, .string(bytes.hexadecimal)) }
        if let text = String(validating: bytes, as: UTF8.self) { return (name, .string(text)) }
        return (name + "Base64", .string(bytes.base64))
    }
}
