internal import ArgumentParser
internal import Glibc
internal import StorageEngine
internal import ToolSupport

struct Tree: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Draws the levels and segments of a store.",
        discussion: """
            Example: enginedump tree DIR --svg tree.svg

            A level is a row, a segment a box in the order of keys, as wide as its share of the
            level's bytes, the darker the newer. Standard output has a summary as text.
            """
    )

    @Argument(help: "The store's directory.") var directory: String
    @Option(help: "The file that the picture is written to.") var svg: String
    @Flag(help: "Keys are shown as lowercase hexadecimal digits.") var hex = false

    func run() throws {
        let printer = LinePrinter(try Filter.parse([]))
        let directory = try StoreInspector.openDirectory(directory)
        let store = try StoreInspector.read(directory) { place, event in
            try printer.print(event, at: place, onlyDamage: true)
        }
        let state = store.manifest.state
        for (level, segments) in state.levels.enumerated() where !segments.isEmpty {
            let size = TreePicture.size(segments.reduce(0) { $0 + Double($1.size) })
            let entries = segments.reduce(UInt64(0)) { $0 &+ $1.entryCount }
            try ToolOutput.print(
                "level \(level): \(segments.count) segments, \(size), \(entries) entries"
            )
        }
        let all = state.levels.joined()
        let size = TreePicture.size(all.reduce(0) { $0 + Double($1.size) })
        try ToolOutput.print("in all: \(state.segmentCount) segments, \(size)")
        try write(TreePicture(state, hex: hex).text)
        if store.manifest.isDamaged { throw SilentExit(.corruption) }
    }

    private func write(_ text: String) throws {
        let file = unsafe open(svg, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw ToolError.system("writing \(svg)", errno: errno) }
        defer { close(file) }
        try ToolOutput.write(text, to: file)
    }
}
