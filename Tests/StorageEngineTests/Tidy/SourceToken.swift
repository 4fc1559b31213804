/// An identifier, a keyword, a number, `->`, or a single other character of code.
struct SourceToken: Sendable {
    let text: String
    /// Counted from 1.
    let line: Int

    /// Whether the token may name something.
    var isIdentifier: Bool {
        text.utf8.first.map { Self.isWord($0) && !(0x30...0x39).contains($0) } ?? false
    }

    /// The tokens of code without comments and literals.
    static func tokens(of code: [UInt8]) -> [SourceToken] {
        var tokens: [SourceToken] = []
        var line = 1
        var position = 0
        while position < code.count {
            let start = position
            position += 1
            switch code[start] {
            case UInt8(ascii: "\n"):
                line += 1
                continue
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"):
                continue
            case UInt8(ascii: "-") where position < code.count && code[position] == 0x3E:
                position += 1
            case let byte where isWord(byte):
                while position < code.count, isWord(code[position]) { position += 1 }
            default:
                break
            }
            let text = String(decoding: code[start..<position], as: UTF8.self)
            tokens.append(SourceToken(text: text, line: line))
        }
        return tokens
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
        case UInt8(ascii: "_"), UInt8(ascii: "$"), UInt8(ascii: "`"): true
        default: false
        }
    }
}

/// Replaces comments and the text of string literals with spaces, and keeps all line ends.
///
/// Code in interpolations stays. Regular-expression literals are not known.
struct CommentStripper {
    private enum Mode {
        /// Code; inside an interpolation, with so many parentheses open.
        case code(parentheses: Int)
        case string(hashes: Int, isMultiline: Bool)
    }

    /// What may begin or end something in code, and in a string.
    private static let codeMarks = Array("/#\"()".utf8)
    private static let stringMarks = Array("\\\"\n".utf8)

    private let input: [UInt8]
    private var output: [UInt8] = []
    private var modes = [Mode.code(parentheses: 0)]

    init(_ text: [UInt8]) { input = text }

    /// The code alone.
    mutating func strippedCode() -> [UInt8] {
        output.reserveCapacity(input.count)
        while output.count < input.count {
            switch modes[modes.count - 1] {
            case .code(let parentheses): stepCode(parentheses)
            case .string(let hashes, let isMultiline): stepString(hashes, isMultiline)
            }
        }
        return output
    }

    private mutating func stepCode(_ parentheses: Int) {
        if !Self.codeMarks.contains(input[output.count]) {
            keep()
        } else if next("//") {
            while output.count < input.count, !next("\n") { blank(1) }
        } else if next("/*") {
            blankComment()
        } else if let hashes = stringStart() {
            blank(hashes)
            let isMultiline = next("\"\"\"")
            blank(isMultiline ? 3 : 1)
            modes.append(.string(hashes: hashes, isMultiline: isMultiline))
        } else if next("(") {
            modes[modes.count - 1] = .code(parentheses: parentheses + 1)
            keep()
        } else if next(")") {
            endParenthesis(parentheses)
        } else {
            keep()
        }
    }

    private mutating func endParenthesis(_ parentheses: Int) {
        if parentheses == 0, modes.count > 1 {
            modes.removeLast()
            blank(1)
        } else {
            modes[modes.count - 1] = .code(parentheses: parentheses - 1)
            keep()
        }
    }

    private mutating func stepString(_ hashes: Int, _ isMultiline: Bool) {
        let marks = String(repeating: "#", count: hashes)
        if !Self.stringMarks.contains(input[output.count]) {
            blank(1)
        } else if next("\\" + marks + "(") {
            blank(2 + hashes)
            modes.append(.code(parentheses: 0))
        } else if next("\\" + marks) {
            blank(2 + hashes)
        } else if next((isMultiline ? "\"\"\"" : "\"") + marks) {
            blank((isMultiline ? 3 : 1) + hashes)
            modes.removeLast()
        } else if !isMultiline, next("\n") {
            modes.removeLast()
        } else {
            blank(1)
        }
    }

    private mutating func blankComment() {
        var depth = 0
        repeat {
            if next("/*") {
                depth += 1
                blank(2)
            } else if next("*/") {
                depth -= 1
                blank(2)
            } else {
                blank(1)
            }
        } while depth > 0 && output.count < input.count
    }

    /// How many `#` stand before the quote that starts a literal here; `nil` where none starts.
    private func stringStart() -> Int? {
        let rest = input[output.count...]
        let hashes = rest.prefix { $0 == UInt8(ascii: "#") }.count
        return rest.dropFirst(hashes).first == UInt8(ascii: "\"") ? hashes : nil
    }

    private func next(_ text: String) -> Bool { input[output.count...].starts(with: text.utf8) }

    private mutating func keep() { output.append(input[output.count]) }

    private mutating func blank(_ count: Int) {
        for byte in input[output.count...].prefix(count) {
            output.append(byte == UInt8(ascii: "\n") ? byte : UInt8(ascii: " "))
        }
    }
}
