/// What a Swift file declares, and how large each piece is.
struct SourceOutline: Sendable {
    struct Function: Sendable {
        let name: String
        let line: Int
        let parameterCount: Int
        var lineCount = 0
        /// How deep the blocks inside are nested.
        var nesting = 0
    }

    struct TypeBody: Sendable {
        let name: String
        let line: Int
        let lineCount: Int
    }

    var functions: [Function] = []
    var typeBodies: [TypeBody] = []
    /// What the rest of the module can name without a qualification.
    var topLevelNames: Set<String> = []
    /// Every declared name, at any depth.
    var declaredNames: Set<String> = []
    /// Where braces first do not match.
    var unbalancedLine: Int?
}

/// Finds declarations and their bodies by keywords and braces, without parsing the language.
struct OutlineScanner {
    private enum Kind { case type, function, variable, block }

    private struct Scope {
        let kind: Kind
        let name: String
        let line: Int
        /// Blocks between the innermost function and here.
        let depth: Int
        /// How many parentheses are open around the scope.
        let parentheses: Int
    }

    private struct Declaration {
        let kind: Kind
        let name: String
        let line: Int
        var parameterCount = 0
    }

    private static let typeKeywords: Set = [
        "struct", "class", "enum", "protocol", "actor", "extension", "typealias",
    ]
    private static let modifiers: Set = [
        "public", "package", "internal", "private", "fileprivate", "final", "indirect", "static",
        "nonisolated", "unsafe",
    ]
    private static let accessors: Set = ["get", "set", "willSet", "didSet", "_read", "_modify"]

    private let tokens: [SourceToken]
    private var outline = SourceOutline()
    private var scopes: [Scope] = []
    private var openFunctions: [SourceOutline.Function] = []
    /// The declaration whose body has not begun yet.
    private var pending: Declaration?
    private var parentheses = 0

    init(_ tokens: [SourceToken]) { self.tokens = tokens }

    /// The whole file's outline.
    mutating func scanned() -> SourceOutline {
        for index in tokens.indices {
            switch tokens[index].text {
            case "(", "[": parentheses += 1
            case ")", "]": parentheses -= 1
            case "{": open(tokens[index].line)
            case "}": close(tokens[index].line)
            default: declare(index)
            }
        }
        if let scope = scopes.last { outline.unbalancedLine = outline.unbalancedLine ?? scope.line }
        return outline
    }

    private mutating func open(_ line: Int) {
        let begun = parentheses == 0 ? pending : nil
        let kind = begun?.kind ?? .block
        if let begun, kind == .function || kind == .variable {
            openFunctions.append(
                SourceOutline.Function(
                    name: begun.name,
                    line: begun.line,
                    parameterCount: begun.parameterCount
                )
            )
        }
        let outer = scopes.last
        let depth = kind == .block ? (outer?.depth ?? 0) + 1 : 0
        if kind == .block, let last = openFunctions.indices.last {
            openFunctions[last].nesting = max(openFunctions[last].nesting, depth)
        }
        scopes.append(
            Scope(
                kind: kind,
                name: begun?.name ?? "",
                line: begun?.line ?? line,
                depth: depth,
                parentheses: parentheses
            )
        )
        if begun != nil { pending = nil }
        parentheses = 0
    }

    private mutating func close(_ line: Int) {
        guard let scope = scopes.popLast() else {
            outline.unbalancedLine = outline.unbalancedLine ?? line
            return
        }
        parentheses = scope.parentheses
        if parentheses == 0 { pending = nil }
        let lineCount = line - scope.line + 1
        switch scope.kind {
        case .type:
            outline.typeBodies.append(
                SourceOutline.TypeBody(name: scope.name, line: scope.line, lineCount: lineCount)
            )
        case .function, .variable:
            guard var function = openFunctions.popLast() else { return }
            function.lineCount = lineCount
            outline.functions.append(function)
        case .block:
            break
        }
    }

    private mutating func declare(_ index: Int) {
        guard parentheses == 0, text(index - 1) != ".", text(index - 1) != "import" else { return }
        let token = tokens[index]
        let following = text(index + 1)
        switch token.text {
        case "func":
            note(index + 1)
            begin(.function, following, index)
        case "init" where ["(", "<", "?", "!"].contains(following),
            "subscript" where ["(", "<"].contains(following):
            begin(.function, token.text, index)
        case "deinit" where following == "{":
            pending = Declaration(kind: .function, name: token.text, line: token.line)
        case "var", "let":
            note(index + 1)
            let isLocal = scopes.last.map { $0.kind != .type } ?? false
            pending =
                isLocal ? nil : Declaration(kind: .variable, name: following, line: token.line)
        case "case":
            pending = nil
        case let keyword where Self.typeKeywords.contains(keyword):
            declareType(index)
        case let word where Self.accessors.contains(word) && scopes.last?.kind == .variable:
            pending = Declaration(kind: .function, name: word, line: token.line)
        default:
            break
        }
    }

    private mutating func declareType(_ index: Int) {
        let isName =
            index + 1 < tokens.count && tokens[index + 1].isIdentifier
            && !["func", "var", "let", "init", "subscript", "in"].contains(text(index + 1))
        guard isName else { return }
        if tokens[index].text != "extension" { note(index + 1) }
        pending =
            tokens[index].text == "typealias"
            ? nil : Declaration(kind: .type, name: text(index + 1), line: tokens[index].line)
    }

    private mutating func begin(_ kind: Kind, _ name: String, _ index: Int) {
        pending = Declaration(
            kind: kind,
            name: name,
            line: tokens[index].line,
            parameterCount: parameterCount(after: index)
        )
    }

    /// Notes that the token at an index names what is declared.
    private mutating func note(_ index: Int) {
        let name = text(index)
        outline.declaredNames.insert(name)
        guard scopes.isEmpty, tokens[index].isIdentifier else { return }
        var before = index - 2
        while Self.modifiers.contains(text(before)) {
            if text(before).hasSuffix("private") { return }
            before -= 1
        }
        outline.topLevelNames.insert(name)
    }

    /// Counts the colons directly inside the next parentheses: every parameter has one.
    private func parameterCount(after index: Int) -> Int {
        var depth = 0
        var count = 0
        for token in tokens[index...] {
            switch token.text {
            case "(", "[", "{": depth += 1
            case ")", "]", "}": depth -= 1
            case ":" where depth == 1: count += 1
            default: break
            }
            if depth == 0, token.text == ")" { break }
        }
        return count
    }

    private func text(_ index: Int) -> String {
        tokens.indices.contains(index) ? tokens[index].text : ""
    }
}
