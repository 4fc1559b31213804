internal import Glibc

/// Charts as SVG elements, to stand in a page that has the colours `s0` … `s7`.
enum SVGChart {
    private static let width = 860.0
    private static let colourCount = 8

    // MARK: - Bars

    /// A horizontal bar for each row: operations a second.
    static func rates(_ rows: [Figures]) -> String {
        let most = max(1, rows.map(\.operationsPerSecond).max() ?? 1)
        let left = 200.0
        let step = 26.0
        let parts = rows.enumerated().map { index, row in
            let top = Double(index) * step
            let length = max(1, (width - left - 130) * row.operationsPerSecond / most)
            let rate = grouped(row.operationsPerSecond)
            return text(left - 8, top + 16, row.label, anchor: "end")
                + "<rect class=\"s\(index % colourCount)\" x=\"\(left)\" y=\"\(top + 3)\" "
                + "width=\"\(length.text(decimals: 1))\" height=\"18\"/>"
                + text(left + length + 6, top + 16, rate)
        }
        return svg(height: Double(rows.count) * step + 4, parts)
    }

    // MARK: - Lines

    /// A line for each row: latency by percentile, both on logarithmic scales.
    static func latencies(_ rows: [Figures]) -> String {
        let scale = Scale(rows)
        let legendTop = Scale.bottom + 44
        var parts = scale.grid
        for (index, row) in rows.enumerated() {
            let points = scale.points(row).map { point in
                "\(point.x.text(decimals: 1)),\(point.y.text(decimals: 1))"
            }
            let dashes = row.crew == nil ? " stroke-dasharray=\"5 4\"" : ""
            let colour = index % colourCount
            parts.append(
                "<polyline class=\"l\(colour)\"\(dashes) "
                    + "points=\"\(points.joined(separator: " "))\"/>"
            )
            let x = 70 + Double(index % 4) * 195
            let y = legendTop + Double(index / 4) * 20
            parts.append(
                "<rect class=\"s\(colour)\" x=\"\(x)\" y=\"\(y - 9)\" width=\"10\" height=\"10\"/>"
            )
            parts.append(text(x + 16, y, row.label))
        }
        return svg(height: legendTop + Double((rows.count + 3) / 4) * 20, parts)
    }

    /// Where percentiles and latencies are in the chart.
    private struct Scale {
        static let left = 70.0
        static let bottom = 300.0
        /// Powers of ten of microseconds.
        let lowest: Double
        let highest: Double

        static let places = Figures.percentiles.map { log10(100 / (100 - $0.percent)) } + [5.0]
        static let names = ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "max"]

        init(_ rows: [Figures]) {
            let values = rows.flatMap(Self.values)
            lowest = log10(values.min() ?? 0.1).rounded(.down)
            highest = max(lowest + 1, log10(values.max() ?? 1000).rounded(.up))
        }

        /// In microseconds, never zero.
        static func values(_ row: Figures) -> [Double] {
            let percentiles = Figures.percentiles.map { row.microseconds(percentile: $0.percent) }
            return (percentiles + [Double(row.tally.latencies.greatest) / 1000]).map {
                max($0, 0.001)
            }
        }

        func points(_ row: Figures) -> [(x: Double, y: Double)] {
            zip(Self.places, Self.values(row)).map { place, value in
                (x: x(place), y: y(log10(value)))
            }
        }

        private func x(_ place: Double) -> Double {
            let first = Self.places[0]
            return Self.left + (place - first) / (5 - first) * (SVGChart.width - Self.left - 30)
        }

        private func y(_ exponent: Double) -> Double {
            Self.bottom - (exponent - lowest) / (highest - lowest) * (Self.bottom - 12)
        }

        var grid: [String] {
            let columns = zip(Self.places, Self.names).map { place, name in
                line(x(place), 12, x(place), Self.bottom)
                    + text(x(place), Self.bottom + 18, name, anchor: "middle")
            }
            let rows = stride(from: lowest, through: highest, by: 1).map { exponent in
                line(Self.left, y(exponent), SVGChart.width - 30, y(exponent))
                    + text(Self.left - 8, y(exponent) + 4, Self.unit(exponent), anchor: "end")
            }
            return columns + rows
        }

        private static func unit(_ exponent: Double) -> String {
            switch Int(exponent) {
            case ..<0: "\(Int(pow(10, exponent + 3))) ns"
            case 0..<3: "\(Int(pow(10, exponent))) µs"
            case 3..<6: "\(Int(pow(10, exponent - 3))) ms"
            default: "\(Int(pow(10, exponent - 6))) s"
            }
        }
    }

    // MARK: - Elements

    private static func svg(height: Double, _ parts: [String]) -> String {
        let size = "0 0 \(Int(width)) \(Int(height))"
        return "<svg viewBox=\"\(size)\" width=\"\(Int(width))\" role=\"img\">\n"
            + parts.joined(separator: "\n") + "\n</svg>"
    }

    private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
        let ends = [x1, y1, x2, y2].map { $0.text(decimals: 1) }
        return "<line x1=\"\(ends[0])\" y1=\"\(ends[1])\" x2=\"\(ends[2])\" y2=\"\(ends[3])\"/>"
    }

    private static func text(
        _ x: Double,
        _ y: Double,
        _ content: String,
        anchor: String = "start"
    ) -> String {
        "<text x=\"\(x.text(decimals: 1))\" y=\"\(y.text(decimals: 1))\" "
            + "text-anchor=\"\(anchor)\">\(content)</text>"
    }

    /// A number with a comma before each three digits.
    private static func grouped(_ number: Double) -> String {
        var text = ""
        for (index, digit) in String(Int(number)).reversed().enumerated() {
            if index > 0, index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return String(text.reversed()) + " ops/s"
    }
}
