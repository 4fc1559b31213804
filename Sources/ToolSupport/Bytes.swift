extension [UInt8] {
    /// Two lowercase hexadecimal digits a byte.
    package var hexadecimal: String {
        var text = ""
        text.reserveCapacity(count * 2)
        for byte in self {
            text += byte < 16 ? "0" : ""
            text += String(byte, radix: 16)
        }
        return text
    }

    /// The bytes that hexadecimal digits stand for; `nil` for anything else.
    package init?(hexadecimal text: String) {
        let digits = text.utf8.map {
            UInt8(ascii: "0") <= $0 && $0 <= UInt8(ascii: "9")
                ? Int($0) - 48
                : UInt8(ascii: "a") <= $0 && $0 <= UInt8(ascii: "f") ? Int($0) - 87 : -1
        }
        guard digits.count % 2 == 0, !digits.contains(-1) else { return nil }
        self = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(digits[$0] * 16 + digits[$0 + 1])
        }
    }

    private static let base64Digits = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8
    )

    /// Base64 with padding (RFC 4648).
    package var base64: String {
        var text: [UInt8] = []
        for start in stride(from: 0, to: count, by: 3) {
            let group = self[start..<Swift.min(start + 3, count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for digit in 0..<4 {
                let isPadding = digit > group.count
                text.append(
                    isPadding ? UInt8(ascii: "=") : Self.base64Digits[bits >> (18 - 6 * digit) & 63]
                )
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes that base64 stands for; `nil` for anything else.
    package init?(base64 text: String) {
        let digits = Array(text.utf8)
        guard digits.count % 4 == 0 else { return nil }
        self = []
        for start in stride(from: 0, to: digits.count, by: 4) {
            let group = digits[start..<start + 4]
            let isLast = start + 4 == digits.count
            let padding = isLast ? group.reversed().prefix { $0 == UInt8(ascii: "=") }.count : 0
            var bits = 0
            for digit in group.dropLast(padding) {
                guard let value = Self.base64Digits.firstIndex(of: digit) else { return nil }
                bits = bits << 6 | value
            }
            guard padding <= 2 else { return nil }
            bits <<= 6 * padding
            for index in 0..<3 - padding { append(UInt8(bits >> (16 - 8 * index) & 255)) }
        }
    }
}

/// The text form of keys and values: one line, fields separated by TAB; backslash, TAB, LF and CR
/// are written as `\\`, `\t`, `\n` and `\r`, other bytes as they are.
package enum TSV {
    package static func escape(_ bytes: some Sequence<UInt8>, into line: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): line += [UInt8(ascii: "\\"), UInt8(ascii: "\\")]
            case UInt8(ascii: "\t"): line += [UInt8(ascii: "\\"), UInt8(ascii: "t")]
            case UInt8(ascii: "\n"): line += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case UInt8(ascii: "\r"): line += [UInt8(ascii: "\\"), UInt8(ascii: "r")]
            default: line.append(byte)
            }
        }
    }

    /// The bytes of a field; `nil` when it has another escape.
    package static func unescape(_ field: ArraySlice<UInt8>) -> [UInt8]? {
        guard field.contains(UInt8(ascii: "\\")) else { return Array(field) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(field.count)
        var isEscaped = false
        for byte in field {
            guard isEscaped else {
                isEscaped = byte == UInt8(ascii: "\\")
                if !isEscaped { bytes.append(byte) }
                continue
            }
            isEscaped = false
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(byte)
            case UInt8(ascii: "t"): bytes.append(UInt8(ascii: "\t"))
            case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "r"): bytes.append(UInt8(ascii: "\r"))
            default: return nil
            }
        }
        return isEscaped ? nil : bytes
    }
}
