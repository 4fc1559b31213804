import Glibc
import ReplicationTestSupport
import StorageEngine
import StorageEngineTestSupport

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
            if let text = failure(of: seed, arguments, &counts) {
                add(counts, seeds: seeds, broken: 1, arguments)
                fail(text, seed, arguments)
            }
            seeds += 1
        }
        let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
        add(counts, seeds: seeds, broken: 0, arguments)
        report(counts, seeds: seeds, seconds: elapsed)
    }

    /// Runs a seed.
    ///
    /// - Returns: What went wrong; `nil` when every promise was kept.
    private static func failure(
        of seed: UInt64,
        _ arguments: Arguments,
        _ counts: inout ReplicationCounts
    ) -> String? {
        do {
            let run = try ReplicationRun(seed: seed, operations: arguments.operations)
            if arguments.isTraced { run.trace = { print($0) } }
            try run.run()
            counts += run.counts
            // Every tenth seed again: the same must happen.
            guard seed % 10 == 0 else { return nil }
            let again = try ReplicationRun(seed: seed, operations: arguments.operations)
            try again.run()
            let isSame = again.traceHash == run.traceHash
            return isSame ? nil : "seed \(seed): two runs of it differ"
        } catch {
            return "\(error)"
        }
    }

    private static func fail(_ text: String, _ seed: UInt64, _ arguments: Arguments) -> Never {
        print("FAILED: \(text)")
        print(
            "replay: replicationsim --seeds \(seed)..<\(seed + 1) --operations "
                + "\(arguments.operations) --trace yes"
        )
        exit(1)
    }

    /// Adds what was counted to the file that was asked for.
    private static func add(
        _ counts: ReplicationCounts,
        seeds: Int,
        broken: Int,
        _ arguments: Arguments
    ) {
        guard let path = arguments.json else { return }
        var tally = Tally()
        tally.add("totals", "replication seeds", seeds)
        tally.add("broken promises", "replication", broken)
        for name in ReplicationCounts.Name.allCases {
            tally.add("replication", name.rawValue, counts[name])
        }
        let first = arguments.seeds.lowerBound
        let run =
            "replication seeds \(first)..<\(first + UInt64(seeds)), "
            + "\(arguments.operations) operations"
        do {
            try CountsFile(path: path).add(tally, [run])
        } catch {
            print("FAILED: adding the counts to \(path): \(error)")
            exit(1)
        }
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
