internal import ArgumentParser
internal import ToolSupport

/// Asks a node how it is.
struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Prints how a node and its members are, as one JSON object."
    )

    @OptionGroup var options: NodeOptions

    func run() throws {
        try ToolOutput.print(text(try options.ask("GET", "/status")))
    }
}

/// Makes a member the leader.
struct PromoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Makes a member the leader, and prints how it is then."
    )

    @OptionGroup var options: NodeOptions

    @Flag(help: "Lead even if members that may have acknowledged writes cannot be asked.")
    var acceptLoss = false

    func run() throws {
        let path = "/promote" + (acceptLoss ? "?acceptLoss=yes" : "")
        try ToolOutput.print(text(try options.ask("POST", path)))
    }
}

/// A line without its end.
private func text(_ line: [UInt8]) -> String {
    String(decoding: line.last == 0x0a ? line.dropLast() : line[...], as: UTF8.self)
}
