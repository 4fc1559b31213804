internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct ManifestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manifest",
        abstract: "Prints the edits of a manifest.",
        discussion: """
            Examples:
              enginedump manifest DIR
              enginedump manifest DIR/0000000003.manifest --format json
              enginedump manifest DIR --check

            Of a directory, the manifest that STORE names. The first edits are a snapshot of the
            whole state. A torn tail is no damage.
            """
    )

    @Argument(help: "A store's directory, or a manifest file.") var path: String
    @Flag(help: "Only errors, damage and a summary.") var check = false
    @Flag(help: "Keys are printed as lowercase hexadecimal digits.") var hex = false
    @Option(help: "At most this many lines, besides errors.") var limit: Int?
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        var filter = try Filter.parse(hex ? ["--hex"] : [])
        filter.format = format
        filter.limit = limit
        let printer = LinePrinter(filter)
        let path = StorePath(path)
        let directory = try path.open()
        let found: ManifestInspection
        if case .manifest(let number) = path.file {
            found = try ManifestInspector(number: number, in: directory).run { place, event in
                try printer.print(event, at: place, onlyDamage: check)
            }
        } else {
            var events: [(LogPlace, ManifestEvent)] = []
            let store = try StoreInspector.read(directory) { events.append(($0, $1)) }
            for (place, event) in events {
                try printer.print(event, at: place, onlyDamage: check)
            }
            found = store.manifest
        }
        if check { try printer.summary(found.members) }
        if found.isDamaged { throw SilentExit(.corruption) }
    }
}

extension LinePrinter {
    /// Prints what an inspection of a manifest came across.
    func print(_ event: ManifestEvent, at place: LogPlace, onlyDamage: Bool) throws {
        switch event {
        case .error(let error): return try self.error(place, error)
        case .gap(let length, let reason, let after, let isDamage):
            guard isDamage || !onlyDamage else { return }
            try line(
                "gap",
                place,
                [
                    ("length", .unsigned(length)), ("reason", .string(reason)),
                    ("afterEdit", .unsigned(after)), ("damage", .boolean(isDamage)),
                ]
            )
        case .file, .edit, .seal: if onlyDamage { return }
        }
        switch event {
        case .file(let header, let size): try manifest(place, header, size: size)
        case .edit(let number, let edit): try self.edit(place, number: number, edit)
        case .seal: try line("seal", place, [])
        case .gap, .error: break
        }
    }
}

extension ManifestInspection {
    /// What a summary says of a manifest.
    var members: [LinePrinter.Member] {
        [
            ("edits", .integer(edits)), ("segments", .integer(state.segmentCount)),
            ("torn", .boolean(isTorn)), ("damaged", .boolean(isDamaged)),
        ]
    }
}
