import Testing

/// The project's own files keep the rules of docs/STYLE.md.
@Suite struct TidyTests {
    @Test func filesAreFound() {
        #expect(SourceTree.engineFiles.count > 3)
        #expect(SourceTree.swiftFiles.contains { $0.path.hasSuffix("Tidy/TidyTests.swift") })
    }

    @Test func lowerLayersDoNotUseHigherOnes() {
        expectNone(LayerRule.findings(in: SourceTree.engineFiles))
    }

    @Test func sizesAreWithinTheirLimits() {
        expectNone(SourceTree.swiftFiles.flatMap { SizeRule.findings(in: $0) })
        let paths = SourceTree.files(below: "Sources") + SourceTree.files(below: "Tests")
        expectNone(SizeRule.findings(inFoldersOf: paths.filter { $0.hasSuffix(".swift") }))
    }

    @Test func bannedWordsAreAbsent() {
        expectNone(SourceTree.engineFiles.flatMap { WordRule.findings(in: $0) })
    }

    @Test(.enabled(if: SourceTree.text(of: "docs/ARCHITECTURE.md") != nil))
    func everySourceFolderIsDocumented() throws {
        let document = try #require(SourceTree.text(of: "docs/ARCHITECTURE.md"))
        let paths = SourceTree.files(below: "Sources")

        #expect(DocumentRule.foldersMissing(in: document, paths: paths) == [])
    }

    @Test(.enabled(if: SourceTree.text(of: "README.md") != nil))
    func readmeIsShort() throws {
        let readme = try #require(SourceTree.text(of: "README.md"))

        let lines = readme.utf8.count { $0 == UInt8(ascii: "\n") }
        #expect(lines <= DocumentRule.readmeLinesMax)
    }

    private func expectNone(_ findings: [Finding], at location: SourceLocation = #_sourceLocation) {
        guard !findings.isEmpty else { return }
        let list = findings.map { "\n    \($0)" }.joined()
        Issue.record("\(findings.count) findings\(list)", sourceLocation: location)
    }
}

/// The checks can fail: each finds its fault in a bad snippet, and none in a good one.
@Suite struct TidyRuleTests {
    @Test func commentsAndStringsAreNoCode() {
        let code = """
            let a = "one // \\(two("three" + four)) five" // six
            /* seven /* eight */ nine */ let b = #"ten \\(eleven) " twelve"#
            let c = \"\"\"
                thirteen " \\(fourteen)
                \"\"\" + fifteen
            """

        let words = file("Base/A.swift", code).tokens.filter(\.isIdentifier).map(\.text)

        #expect(
            words == ["let", "a", "two", "four", "let", "b", "let", "c", "fourteen", "fifteen"]
        )
    }

    @Test func tokensKnowTheirLine() {
        let tokens = file("Base/A.swift", "/* x\n y */ a\n\"b\"\n  c -> d").tokens

        #expect(tokens.map(\.text) == ["a", "c", "->", "d"])
        #expect(tokens.map(\.line) == [2, 4, 4, 4])
    }

    @Test func useOfAHigherLayerIsFound() {
        let low = file(
            "Base/Low.swift",
            """
            /// Not a use: Upper.
            func low(_ upper: Upper) { higher("Upper"); x.higher(higher: 1); Hidden(); Both() }
            struct Low { struct Both {} }
            """
        )
        let high = file(
            "Engine/Upper.swift",
            """
            public final class Upper { struct Nested {} }
            package func higher(_ text: String) {}
            private struct Hidden {}
            struct Both {}
            extension Low {}
            """
        )

        let findings = LayerRule.findings(in: [low, high])

        #expect(
            findings.map(\.description) == [
                "Sources/StorageEngine/Base/Low.swift:2: uses Upper of Engine/, which is above",
                "Sources/StorageEngine/Base/Low.swift:2: uses higher of Engine/, which is above",
            ]
        )
    }

    @Test func nothingUsesInspect() {
        let printer = file("Inspect/Printer.swift", "struct Printer { let log: Log }")
        let log = file("Log/Log.swift", "struct Log {}")
        let engine = file("Engine/Engine.swift", "func print(_ printer: Printer, _ log: Log) {}")

        #expect(
            LayerRule.findings(in: [printer, log, engine]).map(\.message)
                == ["uses Printer of Inspect/, which is above"]
        )
    }

    @Test func unknownFolderIsFound() {
        #expect(LayerRule.findings(in: [file("Utilities/A.swift", "")]).count == 1)
        #expect(LayerRule.findings(in: [file("A.swift", "")]).count == 1)
    }

    @Test func excessIsFound() {
        let long = String(repeating: "    a()\n", count: 69)
        let deep = "func deep() { if a { for b in c { while d { e { if f {} } } } } }"
        let wide = "init(a: A, b: [B: B], c: (C, C), d: D = [1: 2], e: E, f: F, g: G) {}"

        #expect(sizes("func f() {\n\(long)}") == ["f has 71 lines, at most 70 are allowed"])
        #expect(sizes("var v: V {\n\(long)}") == ["v has 71 lines, at most 70 are allowed"])
        #expect(sizes(deep) == ["deep has 5 nested blocks, at most 4 are allowed"])
        #expect(sizes(wide) == ["init has 7 parameters, at most 6 are allowed"])
        #expect(
            sizes("// " + String(repeating: "x", count: 98))
                == ["line has 101 columns, at most 100 are allowed"]
        )
        #expect(
            sizes("struct S {\n" + String(repeating: "\n", count: 349) + "}")
                == ["S has 351 lines, at most 350 are allowed"]
        )
        #expect(
            sizes(String(repeating: "//\n", count: 501))
                == ["file has 501 lines, at most 500 are allowed"]
        )
        #expect(sizes("struct S {") == ["braces do not match"])
        #expect(sizes("}") == ["braces do not match"])
        let paths = (1...13).map { "Sources/A/\($0).swift" }
        #expect(SizeRule.findings(inFoldersOf: paths).count == 1)
        #expect(SizeRule.findings(inFoldersOf: Array(paths.dropLast())).isEmpty)
    }

    @Test func moderationIsNot() {
        let body = String(repeating: "    a()\n", count: 68)
        let deep = "func deep() { if a { for b in c { while d { e {} } } } }"
        let wide = "func w<T: P>(a: A, b: [B: B], c: (x: C, y: C), d: D, e: E, f: F) -> T {}"

        #expect(sizes("func f() {\n\(body)}").isEmpty)
        #expect(sizes(deep).isEmpty)
        #expect(sizes(wide).isEmpty)
        #expect(sizes(String(repeating: "//\n", count: 500)).isEmpty)
    }

    @Test func bodiesBelongToTheirDeclarations() {
        let outline = file(
            "Base/A.swift",
            """
            protocol P { func required(); var v: Int { get } }
            struct S<T>: P where T: Q {
                var stored = 1
                func f(_ body: () -> Void = { g() }) { if let x = y { x() } }
                var v: Int { get { if a { 1 } else { 2 } } set(new) { stored = new } }
                class func make() {}
            }
            """
        ).outline

        #expect(outline.topLevelNames == ["P", "S"])
        #expect(outline.functions.map(\.name) == ["v", "f", "get", "set", "v", "make"])
        #expect(outline.functions.map(\.nesting) == [0, 1, 1, 0, 0, 0])
        #expect(outline.typeBodies.map(\.name) == ["P", "S"])
        #expect(outline.unbalancedLine == nil)
    }

    @Test(arguments: [
        "import Foundation", "internal import FoundationEssentials", "let a = try? f()",
        "try! f()", "fatalError()", "// TODO", "/* FIXME */", "let now = Date()",
        "ContinuousClock.now", "UUID()", "var generator = SystemRandomNumberGenerator()",
        "rename(a, b)", "files.unlink(a)",
    ])
    func bannedWordIsFound(_ code: String) {
        #expect(WordRule.findings(in: file("Log/A.swift", code)).count == 1)
    }

    @Test(arguments: [
        ("Files/Environment.swift", "ContinuousClock.now"),
        ("Threads/Lock.swift", "clock_gettime(CLOCK_MONOTONIC, &time)"),
        ("Files/PosixFileSystem.swift", "renameat(a, b, c, d)"),
        ("Log/A.swift", "// no try! here, nor Date()"),
        ("Log/A.swift", "let text = \"fatalError\""),
        ("Log/A.swift", "let rename = try f()"),
    ])
    func allowedWordIsNot(_ path: String, _ code: String) {
        #expect(WordRule.findings(in: file(path, code)).isEmpty)
    }

    @Test func undocumentedFolderIsFound() {
        let paths = ["Sources/Tool/main.swift", "Sources/StorageEngine/Base/A.swift"]

        #expect(DocumentRule.foldersMissing(in: "Base/ and `Tool`", paths: paths) == [])
        #expect(
            DocumentRule.foldersMissing(in: "Tools, Basement", paths: paths) == ["Base", "Tool"]
        )
    }

    private func file(_ path: String, _ code: String) -> SourceFile {
        SourceFile(path: "Sources/StorageEngine/\(path)", text: code)
    }

    private func sizes(_ code: String) -> [String] {
        SizeRule.findings(in: file("Base/A.swift", code)).map(\.message)
    }
}
