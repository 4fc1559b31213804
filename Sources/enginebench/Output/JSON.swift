/// A JSON value whose members keep their order.
enum JSON: Sendable {
    case string(String)
    case integer(Int)
    /// Printed with up to three decimals.
    case number(Double)
    case boolean(Bool)
    case object([(name: String, value: JSON)])

    /// The value on one line.
    var text: String {
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
    var plainText: String {
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

extension Double {
    /// The number with so many decimals.
    func text(decimals: Int) -> String {
        var scale = 1.0
        for _ in 0..<decimals { scale *= 10 }
        let scaled = Int((self * scale).rounded())
        guard decimals > 0 else { return String(scaled) }
        let digits = String(scaled.magnitude)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        let sign = scaled < 0 ? "-" : ""
        return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }

    /// The number with about four digits.
    var compactText: String {
        switch magnitude {
        case ..<10: text(decimals: 3)
        case ..<100: text(decimals: 2)
        case ..<1000: text(decimals: 1)
        default: text(decimals: 0)
        }
    }
}

extension String {
    func leftAligned(_ width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }

    func rightAligned(_ width: Int) -> String {
        String(repeating: " ", count: max(0, width - count)) + self
    }
}
