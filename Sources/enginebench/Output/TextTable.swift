internal import ToolSupport

/// The rows as aligned text; latencies are microseconds.
enum TextTable {
    private static let columns: [(title: String, width: Int)] = [
        ("benchmark", 16), ("ack", 6), ("replicas", 12), ("threads", 9), ("micros/op", 10),
        ("ops/s", 10),
        ("MB/s", 8), ("p50", 9), ("p90", 9), ("p99", 9), ("p99.9", 9), ("p99.99", 9),
        ("max", 9), ("syncs", 8), ("log", 6), ("w-amp", 6),
        ("found", 9), ("writes/s", 9),
    ]
    private static let leftCount = 4

    static let titles = columns.map(\.title)
    static var title: String { line(titles) }

    static func row(_ figures: Figures) -> String {
        line(cells(figures))
    }

    static func cells(_ figures: Figures) -> [String] {
        let workers = figures.crew.map { crew in
            if case .tasks(let count) = crew { "\(count) tasks" } else { "\(crew.count)" }
        }
        let isMeasured = figures.crew != nil
        var cells = [
            figures.benchmark, figures.ack?.name ?? "", figures.replicas ?? "", workers ?? "",
            figures.microsecondsPerOperation.compactText,
            isMeasured ? figures.operationsPerSecond.text(decimals: 0) : "",
            isMeasured ? (figures.bytesPerSecond / 1e6).text(decimals: 1) : "",
        ]
        cells += Figures.percentiles.map {
            figures.microseconds(percentile: $0.percent).compactText
        }
        cells.append((Double(figures.tally.latencies.greatest) / 1000).compactText)
        cells.append(figures.log.map { String($0.syncs) } ?? "")
        cells.append(figures.log.map(ratio) ?? "")
        cells.append(figures.log?.writeAmplification?.text(decimals: 2) ?? "")
        cells.append(figures.countsFound ? String(figures.tally.found) : "")
        cells.append(figures.tally.writesPerSecond?.text(decimals: 0) ?? "")
        return cells
    }

    /// Stored bytes of the log to raw ones.
    private static func ratio(_ log: Figures.LogUse) -> String {
        guard log.bytesRaw > 0 else { return "" }
        return (Double(log.bytesStored) / Double(log.bytesRaw)).text(decimals: 2)
    }

    private static func line(_ cells: [String]) -> String {
        var text = ""
        for (index, (cell, column)) in zip(cells, columns).enumerated() {
            let aligned =
                index < leftCount
                ? cell.leftAligned(column.width) : cell.rightAligned(column.width)
            text += (index == 0 ? "" : " ") + aligned
        }
        while text.last == " " { text.removeLast() }
        return text
    }
}
