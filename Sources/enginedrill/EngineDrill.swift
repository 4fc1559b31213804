import ArgumentParser
import Foundation
import Glibc
import ToolSupport

/// The command line.
struct EngineDrill: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginedrill",
        abstract: "Kills, stops and cuts off nodes under load, and looks what is left.",
        discussion: """
            Prints one line of JSON in the end. A promise that was broken is an error, and the
            nodes' directories and logs stay then.

            Exit status: 0 ok, 1 usage, 3 a write is lost or members differ, 4 input or output,
            5 other (nodes that do not settle, among them).
            """
    )

    @Option(help: "How many faults.") var rounds = 200
    @Option(help: "How many nodes, at least 3.") var nodes = 5
    @Option(help: "How many writers.") var writers = 4
    @Option(help: "How long each writer rests between two writes, in milliseconds.")
    var pause = 5
    @Option(help: "What writes wait for, of the leader and of one follower.")
    var ack = DrillAck.disk
    @Option(help: "What may happen: some of kill, empty, pause, cut, silence; all without it.")
    var faults: String?
    @Option(help: "What faults follow from.") var seed: UInt64?
    @Option(help: "The path of enginenode; beside this program, otherwise.")
    var enginenode: String?
    @Option(help: "Where directories and logs of the nodes are made; empty or absent.")
    var directory: String
    @Flag(
        help: """
            Give each node a network namespace of its own, and TLS; needs root, and runs under \
            unshare --net.
            """
    ) var namespaces = false
    @Flag(help: "Say nothing of single rounds.") var quiet = false

    func validate() throws {
        guard rounds > 0, (3...32).contains(nodes), writers > 0, pause >= 0 else {
            throw ValidationError("rounds and writers are at least 1, nodes 3 to 32")
        }
        guard chosenFaults != nil else {
            throw ValidationError("--faults are some of kill, empty, pause, cut, silence")
        }
    }

    /// `nil` for what is no list of faults.
    private var chosenFaults: [Fault]? {
        guard let faults else { return Fault.allCases }
        let names = faults.split(separator: ",", omittingEmptySubsequences: false)
        let chosen = names.compactMap { Fault(rawValue: String($0)) }
        return chosen.count == names.count ? chosen : nil
    }

    func run() throws {
        let seed = seed ?? UInt64.random(in: 0..<1 << 32)
        try makeDirectory()
        let cluster = try DrillCluster(
            count: nodes,
            directory: directory,
            executable: enginenode ?? Self.besideThis,
            settings: Self.settings,
            hasNamespaces: namespaces
        )
        let (rounds, writers, isQuiet) = (rounds, writers, quiet)
        let pause = Duration.milliseconds(pause)
        let (faults, ack) = (chosenFaults ?? [], ack)
        try ToolOutput.print("\(nodes) nodes, \(rounds) rounds, seed \(seed)")
        let result = Result {
            try waiting {
                var drill = Drill(cluster, faults: faults, seed: seed, pause: pause, ack: ack)
                return try await drill.run(rounds: rounds, writers: writers) { line in
                    if !isQuiet { try ToolOutput.print(line) }
                }
            }
        }
        try cluster.end()
        let counts = try result.get()
        try ToolOutput.print(counts.json.text)
    }

    /// Log files and indexes so small that they change all the time, and so little log that a
    /// follower that was away may need a copy.
    private static let settings = [
        "ENGINENODE_ENGINE_LOG_FILE_SIZE": "65536",
        "ENGINENODE_ENGINE_WRITE_BUFFER_SIZE": "65536",
        "ENGINENODE_ENGINE_RETAINED_LOG_SIZE": "131072",
    ]

    private static var besideThis: String {
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return own.deletingLastPathComponent().appending(path: "enginenode").path
    }

    private func makeDirectory() throws {
        if unsafe mkdir(directory, 0o700) == 0 { return }
        let code = errno
        guard code == EEXIST else { throw ToolError.system("making \(directory)", errno: code) }
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
        guard names.isEmpty else {
            throw ToolError("making \(directory): it is there, and not empty")
        }
    }
}
