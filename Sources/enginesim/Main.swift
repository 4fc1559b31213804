import Glibc
import StorageEngine
import StorageEngineTestSupport

// Simulates crashes and faults: each seed writes, reads, kills and reopens a store on a simulated
// disk, and every promise is checked. See docs/TESTING.md.

@main
struct Main {
    static func main() {
        if CrashCommand.run(CommandLine.arguments) { return }
        if DamageRun.run(CommandLine.arguments) { return }
        let arguments = Arguments(CommandLine.arguments)
        if feed(arguments) { return }
        do {
            switch arguments.leg {
            case .scale(let count, let path): try ScaleRun(count: count, path: path).run()
            case .errors: try errors(arguments)
            case .seeds where arguments.showsHash: try printHashes(arguments)
            case .seeds: try seeds(arguments)
            }
        } catch {
            print("FAILED: \(error)")
            exit(1)
        }
    }

    /// Runs consumers on a real disk, when that was asked for.
    private static func feed(_ arguments: Arguments) -> Bool {
        do {
            if let path = arguments.feedChild { try FeedChild(path: path).run() }
            guard arguments.feed != nil || arguments.feedKill != nil else { return false }
            guard let path = arguments.directory else {
                throw SimulationFailure("--feed and --feed-kill need --directory")
            }
            if let count = arguments.feed { try FeedRun(count: count, path: path).run() }
            if let rounds = arguments.feedKill { try FeedKill(rounds: rounds, path: path).run() }
            return true
        } catch {
            print("FAILED: \(error)")
            exit(1)
        }
    }

    private static func printHashes(_ arguments: Arguments) throws {
        for seed in arguments.seeds {
            let run = try SimulatedRun(seed: seed, arguments.plan)
            try run.run()
            print(seed, run.traceHash)
        }
    }

    private static func seeds(_ arguments: Arguments) throws {
        let crew = Crew(threads: arguments.threads)
        let time = SystemTime()
        let end = time.monotonicNanoseconds + arguments.seconds * 1_000_000_000
        let done = crew.run(arguments.seeds, until: end, atLeast: 100) { seed in
            let run = try SimulatedRun(seed: seed, arguments.plan)
            do {
                try run.run()
            } catch {
                if arguments.showsTrace { for line in run.traceText { print(line) } }
                throw error
            }
            return Crew.Piece(tally: run.tally, hash: run.traceHash)
        }
        var tally = done.tally
        if done.failure == nil {
            tally += try SelfCheck(arguments).run(done.hashes)
        }
        var report = Report(path: arguments.json)
        let last = arguments.seeds.lowerBound + UInt64(done.count)
        report.add(
            tally,
            "seeds \(arguments.seeds.lowerBound)..<\(last), "
                + "\(arguments.plan.operations) operations, "
                + "\(arguments.plan.samples.map { "\($0)" } ?? "all") samples"
        )
        try report.finish(done, replay: replay(done.failure?.item, arguments))
    }

    private static func replay(_ seed: UInt64?, _ arguments: Arguments) -> String {
        guard let seed else { return "" }
        let samples = arguments.plan.samples.map { "\($0)" } ?? "all"
        return "enginesim --seeds '\(seed)..<\(seed + 1)' --operations "
            + "\(arguments.plan.operations) --samples \(samples) --trace yes"
    }

    private static func errors(_ arguments: Arguments) throws {
        let crew = Crew(threads: arguments.threads)
        var report = Report(path: arguments.json)
        let sweeps = try arguments.seeds.map { seed in
            try ErrorSweep(seed: seed, operations: arguments.plan.operations)
        }
        print(sweeps.map(\.callCount))
        let cases = sweeps.flatMap { $0.cases(stride: arguments.errorStride ?? 1) }
        let done = crew.run(0..<UInt64(cases.count), until: .max, atLeast: 0) { index in
            Crew.Piece(tally: try cases[Int(index)].run(), hash: nil)
        }
        report.add(
            done.tally,
            "errors, every \(arguments.errorStride ?? 1) calls: \(cases.count) cases"
        )
        let failed = done.failure.map { "\(cases[Int($0.item)])" } ?? ""
        try report.finish(done, replay: failed)
    }
}
