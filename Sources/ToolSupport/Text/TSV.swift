/// Fields of tab-separated lines: backslash, tab, line feed and carriage return are escaped as
/// `\\ \t \n \r`, other bytes are as they are.
package enum TSV {
    package static func append(_ bytes: borrowing Span<UInt8>, to line: inout [UInt8]) {
        unsafe bytes.withUnsafeBufferPointer { unsafe append($0, to: &line) }
    }

    package static func append(_ bytes: some Collection<UInt8>, to line: inout [UInt8]) {
        guard bytes.contains(where: isEscaped) else {
            line.append(contentsOf: bytes)
            return
        }
        for byte in bytes {
            guard isEscaped(byte) else {
                line.append(byte)
                continue
            }
            line.append(UInt8(ascii: "\\"))
            switch byte {
            case 0x09: line.append(UInt8(ascii: "t"))
            case 0x0a: line.append(UInt8(ascii: "n"))
            case 0x0d: line.append(UInt8(ascii: "r"))
            default: line.append(byte)
            }
        }
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\\") || byte == 0x09 || byte == 0x0a || byte == 0x0d
    }

    /// A field's bytes; `nil` when a backslash begins something else than the four escapes.
    package static func unescaped(_ field: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let first = field.firstIndex(of: UInt8(ascii: "\\")) else { return field }
        var bytes = Array(field[..<first])
        bytes.reserveCapacity(field.count)
        var index = first
        while index < field.endIndex {
            let byte = field[index]
            index += 1
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            guard index < field.endIndex else { return nil }
            switch field[index] {
            case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "n"): bytes.append(0x0a)
            case UInt8(ascii: "r"): bytes.append(0x0d)
            default: return nil
            }
            index += 1
        }
        return bytes[...]
    }
}
