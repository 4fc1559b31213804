internal import Glibc
internal import ToolSupport

/// One page with settings, figures and charts that needs nothing else.
struct HTMLReport {
    private let surroundings: SettingsList
    private let rows: [Figures]
    private let comparisons: [any Comparison]

    init(_ surroundings: SettingsList, _ rows: [Figures], _ comparisons: [any Comparison]) {
        self.surroundings = surroundings
        self.rows = rows
        self.comparisons = comparisons
    }

    func write(to path: String) throws {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe open(path, flags, 0o644)
        guard descriptor >= 0 else {
            throw ToolError.system("writing the report \(path)", errno: errno)
        }
        defer { close(descriptor) }
        try ToolOutput.write(page, to: descriptor)
    }

    private var page: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>enginebench</title>
        <style>\(Self.style)</style>
        <h1>enginebench</h1>
        <h2>Settings</h2>
        \(settingsTable)
        <h2>Figures</h2>
        <p>Latencies are microseconds, MB are 1,000,000 bytes.</p>
        \(figuresTable)
        \(comparisons.map { "<p>\(Self.escaped($0.text))</p>" }.joined(separator: "\n"))
        \(sections)
        </html>

        """
    }

    // MARK: - Tables

    private var settingsTable: String {
        let lines = surroundings.members.map { name, value in
            "<tr><th>\(name)</th><td>\(Self.escaped(value.plainText))</td></tr>"
        }
        return "<table class=\"settings\">\n\(lines.joined(separator: "\n"))\n</table>"
    }

    private var figuresTable: String {
        let titles = TextTable.titles.map { "<th>\($0)</th>" }.joined()
        let lines = rows.map { row in
            "<tr>" + TextTable.cells(row).map { "<td>\($0)</td>" }.joined() + "</tr>"
        }
        return """
            <div class="wide"><table class="figures">
            <tr>\(titles)</tr>
            \(lines.joined(separator: "\n"))
            </table></div>
            """
    }

    // MARK: - Charts

    private var sections: String {
        var names: [String] = []
        for row in rows where row.crew != nil && !names.contains(row.benchmark) {
            names.append(row.benchmark)
        }
        return names.map(section).joined(separator: "\n")
    }

    /// The charts of one benchmark; the sync probe stands beside what is written.
    private func section(_ name: String) -> String {
        let own = rows.filter { $0.benchmark == name }
        let probes = own.contains { $0.ack != nil } ? rows.filter { $0.crew == nil } : []
        return """
            <h2>\(name)</h2>
            <h3>Operations a second</h3>
            \(SVGChart.rates(own))
            <h3>Latency by percentile</h3>
            \(SVGChart.latencies(own + probes))
            """
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    private static let colours = [
        "#2f6fde", "#d9662b", "#2e9e63", "#a64ac9", "#c9a227", "#1b9aaa", "#d1495b", "#6c757d",
    ]

    private static var style: String {
        let classes = colours.enumerated().map { index, colour in
            ".s\(index) { fill: \(colour) } .l\(index) { stroke: \(colour) }"
        }
        return """

            :root { color-scheme: light dark }
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
                   padding: 0 1rem }
            h2 { margin-top: 2.5rem } h3 { font-size: 1rem }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums }
            th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap;
                     border-bottom: 1px solid #8884 }
            .settings th, .settings td { text-align: left; font-weight: normal }
            .figures td:nth-child(-n+3), .figures th:nth-child(-n+3) { text-align: left }
            .wide { overflow-x: auto } svg { max-width: 100%; height: auto }
            svg text { font: 12px system-ui, sans-serif; fill: currentColor }
            svg line { stroke: #8885 } svg polyline { fill: none; stroke-width: 2 }
            \(classes.joined(separator: "\n"))

            """
    }
}
