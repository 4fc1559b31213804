import StorageEngine
import ToolSupport

/// A picture of a store's levels as SVG, which needs nothing else.
///
/// A level is a row; its segments are boxes in the order of their keys, as wide as their share of
/// the level's bytes. The newer a segment's entries, the darker it is.
struct TreePicture {
    private let levels: [(level: Int, segments: [SegmentInfo])]
    private let oldest, newest: UInt64
    private let hex: Bool

    private static let width = 1200.0
    private static let left = 130.0
    private static let rowHeight = 64.0
    private static let top = 56.0

    init(_ state: ManifestState, hex: Bool) {
        levels = state.levels.enumerated().filter { !$0.element.isEmpty }.map { level in
            let inOrder = level.element.sorted { left, right in
                left.smallest == right.smallest
                    ? left.number < right.number
                    : left.smallest.lexicographicallyPrecedes(right.smallest)
            }
            return (level.offset, inOrder)
        }
        let segments = levels.flatMap(\.segments)
        oldest = segments.map(\.maxSequence).min() ?? 0
        newest = segments.map(\.maxSequence).max() ?? 0
        self.hex = hex
    }

    /// The file's text.
    var text: String {
        let height = Self.top + Double(max(1, levels.count)) * Self.rowHeight + 16
        var lines = [
            #"<?xml version="1.0" encoding="UTF-8"?>"#,
            #"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1200 \#(Int(height))""#
                + #" width="1200" height="\#(Int(height))" font-family="sans-serif""#
                + #" font-size="13">"#,
            #"<rect width="1200" height="\#(Int(height))" fill="white"/>"#,
            #"<text x="16" y="24" font-size="16">Levels and segments, sequences "#
                + "\(oldest) to \(newest)</text>",
            #"<text x="16" y="44" fill="dimgray">A box is a segment: in the order of keys, as "#
                + "wide as its share of the level's bytes, the darker the newer.</text>",
        ]
        if levels.isEmpty {
            lines.append(#"<text x="16" y="\#(Int(Self.top) + 36)">There are no segments.</text>"#)
        }
        for (row, level) in levels.enumerated() { lines += rowLines(row, level) }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private func rowLines(_ row: Int, _ level: (level: Int, segments: [SegmentInfo])) -> [String] {
        let y = Self.top + Double(row) * Self.rowHeight
        let bytes = level.segments.reduce(0.0) { $0 + Double($1.size) }
        let count = level.segments.count
        var lines = [
            #"<text x="16" y="\#(number(y + 26))" font-size="15">Level \#(level.level)</text>"#,
            #"<text x="16" y="\#(number(y + 44))" fill="dimgray">\#(count) of "#
                + "\(Self.size(bytes))</text>",
        ]
        var x = Self.left
        for info in level.segments {
            let share = bytes > 0 ? Double(info.size) / bytes : 0
            let width = share * (Self.width - Self.left - 16)
            lines.append(box(info, x: x, y: y + 8, width: width))
            x += width
        }
        return lines
    }

    private func box(_ info: SegmentInfo, x: Double, y: Double, width: Double) -> String {
        let height = Self.rowHeight - 16
        let age = newest > oldest ? Double(info.maxSequence - oldest) / Double(newest - oldest) : 1
        let title =
            "\(FileName.segment(info.number)): \(Self.size(Double(info.size))), "
            + "\(info.entryCount) entries, \(info.tombstoneCount) tombstones, "
            + "\(info.rangeTombstoneCount) range tombstones, "
            + "sequences \(info.minSequence) to \(info.maxSequence), "
            + "keys \(key(info.smallest)) to \(key(info.largest))"
        var text =
            #"<g><title>\#(title)</title><rect x="\#(number(x))" y="\#(number(y))""#
            + #" width="\#(number(width))" height="\#(number(height))""#
            + #" fill="hsl(210,60%,\#(Int(88 - 50 * age))%)" stroke="white"/>"#
        if width >= 56 {
            let color = age > 0.5 ? "white" : "black"
            text += #"<text x="\#(number(x + 6))" y="\#(number(y + 20))" fill="\#(color)">"#
            text += "\(info.number)</text>"
            text += #"<text x="\#(number(x + 6))" y="\#(number(y + 38))" font-size="11""#
            text += #" fill="\#(color)">\#(Self.size(Double(info.size)))</text>"#
        }
        return text + "</g>"
    }

    /// A key as text of XML: characters that XML has no form for make it hexadecimal.
    private func key(_ key: [UInt8]) -> String {
        guard !hex, let text = String(validating: key.prefix(200), as: UTF8.self),
            text.unicodeScalars.allSatisfy(Self.isAllowed)
        else { return "0x" + Hexadecimal.text(of: Array(key.prefix(200))) }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value >= 0x20 && scalar.value != 0x7f && scalar.value & 0xfffe != 0xfffe
    }

    private func number(_ value: Double) -> String { JSON.number(value).text }

    static func size(_ bytes: Double) -> String {
        let units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
        var (value, unit) = (bytes, 0)
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return "\(JSON.number((value * 10).rounded() / 10).text) \(units[unit])"
    }
}
