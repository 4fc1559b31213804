internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

/// Which records and operations are shown, and how.
struct Filter: ParsableArguments {
    @Option(help: "The first sequence.") var fromSeq: UInt64 = 0
    @Option(help: "The last sequence.") var toSeq = UInt64.max
    @Option(help: "The first key.") var from: String?
    @Option(help: "The key behind the last one.") var to: String?
    @Option(help: "Only keys that begin with this.") var prefix: String?
    @Flag(help: "Keys and values are lowercase hexadecimal digits.") var hex = false
    @Flag(help: "Leave values out.") var noValues = false
    @Option(help: "At most this many lines, besides errors.") var limit: Int?
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    var hasKeys: Bool { from != nil || to != nil || prefix != nil }

    /// The bytes of a key argument.
    func bytes(_ argument: String) throws -> [UInt8] {
        guard hex else { return Array(argument.utf8) }
        guard let bytes = Hexadecimal.bytes(of: argument) else {
            throw ToolError("reading the key \(argument): not lowercase hexadecimal digits")
        }
        return bytes
    }

    /// Which keys are shown.
    func keys() throws -> KeyRange {
        let bounds = KeyRange(from: try from.map(bytes) ?? [], to: try to.map(bytes))
        return bounds.intersection(try prefix.map { KeyRange(prefix: try bytes($0)) } ?? .all)
    }

    func shows(_ sequence: UInt64) -> Bool { sequence >= fromSeq && sequence <= toSeq }
}
