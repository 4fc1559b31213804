internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Find: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints every operation on a key that is in the log, the oldest first.",
        discussion: "Example: enginedump find DIR user:1 --format json"
    )

    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The key.") var key: String
    @Flag(help: "The key and the values are lowercase hexadecimal digits.") var hex = false
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        var filter = try Filter.parse(hex ? ["--hex"] : [])
        filter.format = format
        let key = try filter.bytes(key)
        let printer = LinePrinter(filter)
        var count = 0
        let found = try LogInspector(path: directory).run { place, event in
            switch event {
            case .record(let head, let operations):
                let shown = try InspectedOperation.all(operations).filter { $0.touches(key) }
                count += shown.count
                try printer.record(place, head, shown)
            case .error(let error): try printer.error(place, error)
            case .gap(let length, let reason, let after, isDamage: true):
                try printer.gap(
                    place,
                    length: length,
                    reason: reason,
                    after: after,
                    isDamage: true
                )
            default: break
            }
        }
        if found.isDamaged { throw SilentExit(.corruption) }
        if found.hasMissingFiles { throw SilentExit(.gap) }
        if count == 0 { throw SilentExit(.keyNotFound) }
    }
}
