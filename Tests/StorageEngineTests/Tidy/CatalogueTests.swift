import Testing

/// The table of faults in docs/TESTING.md is complete, and the tests that it names exist.
@Suite struct CatalogueTests {
    private struct Row {
        let number: Int
        let cell: Substring

        /// A row of the table, `nil` for another line.
        init?(_ line: Substring) {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
            guard cells.count == 5,
                let number = Int(cells[1].filter { $0 != " " })
            else { return nil }
            self.number = number
            cell = cells[3]
        }

        /// What stands between backquotes and is no command.
        var names: [Substring] {
            cell.split(separator: "`", omittingEmptySubsequences: false).enumerated()
                .filter { $0.offset % 2 == 1 }.map(\.element)
                .filter { !$0.hasPrefix("make ") }
        }
    }

    private static let rows = (SourceTree.text(of: "docs/TESTING.md") ?? "")
        .split(separator: "\n").compactMap(Row.init)

    private static let isThere = SourceTree.text(of: "docs/TESTING.md") != nil

    @Test(.enabled(if: isThere)) func everyFaultOfOneNodeHasARow() {
        #expect(Self.rows.map(\.number) == Array(1...36) + [54, 55, 56])
    }

    @Test(.enabled(if: isThere)) func everyNamedTestExists() {
        let tests = Set(
            SourceTree.swiftFiles.filter { $0.path.hasPrefix("Tests/") }
                .flatMap { $0.outline.functions.map(\.name) }
        )
        for row in Self.rows {
            #expect(!row.names.isEmpty || row.cell.contains("none: "), "row \(row.number)")
            for name in row.names {
                #expect(tests.contains(String(name)), "row \(row.number) names \(name)")
            }
        }
    }
}
