import Glibc
import ReplicationTestSupport
import StorageEngine

// Simulates leader and followers: each seed is members, network, clients and faults, and every
// promise is checked. Runs each seed of the range, or as many as the time allows.

@main
struct Main {
    static func main() {
        let arguments = Arguments(CommandLine.arguments)
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        var counts = ReplicationCounts()
        var seeds = 0
        for seed in arguments.seeds {
            let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
            if elapsed >= arguments.seconds { break }
            run(seed, arguments, &counts)
            seeds += 1
        }
        let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
        report(counts, seeds: seeds, seconds: elapsed)
    }

    private static func run(
        _ seed: UInt64,
        _ arguments: Arguments,
        _ counts: inout ReplicationCounts
    ) {
        do {
            let run = try ReplicationRun(seed: seed, operations: arguments.operations)
            if arguments.isTraced { run.trace = { print($0) } }
            try run.run()
            counts += run.counts
            // Every tenth seed again: the same must happen.
            guard seed % 10 == 0 else { return }
            let again = try ReplicationRun(seed: seed, operations: arguments.operations)
            try again.run()
            guard again.traceHash == run.traceHash else {
                return fail("seed \(seed): two runs of it differ", seed, arguments)
            }
        } catch {
            fail("\(error)", seed, arguments)
        }
    }

    private static func fail(_ text: String, _ seed: UInt64, _ arguments: Arguments) {
        print("FAILED: \(text)")
        print(
            "replay: replicationsim --seeds \(seed)..<\(seed + 1) --operations "
                + "\(arguments.operations) --trace yes"
        )
        exit(1)
    }

    /// One line of JSON; a count of 0 shows that the simulation never gets there.
    private static func report(_ counts: ReplicationCounts, seeds: Int, seconds: UInt64) {
        var members = ["\"seeds\":\(seeds)", "\"seconds\":\(seconds)"]
        for name in ReplicationCounts.Name.allCases {
            members.append("\"\(name.rawValue)\":\(counts[name])")
        }
        print("{\(members.joined(separator: ","))}")
    }
}
