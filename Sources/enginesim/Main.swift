import Glibc
import StorageEngine
import StorageEngineTestSupport

// Simulates crashes: each seed writes, reads, kills and reopens a store on a simulated disk, and
// every promise is checked. Runs at least 100 seeds of the range, then as many more as the time
// allows.

@main
struct Main {
    static func main() {
        let arguments = Arguments(CommandLine.arguments)
        if let count = arguments.scale { return scale(count, arguments.directory) }
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        var counts = Tally()
        var seeds = 0
        for seed in arguments.seeds {
            let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
            if seeds >= 100, elapsed >= arguments.seconds { break }
            var current: SimulatedRun?
            do {
                var plan = SimulatedRun.Plan()
                plan.operations = arguments.operations
                let run = try SimulatedRun(seed: seed, plan)
                current = run
                try run.run()
                counts += run.tally
            } catch {
                if getenv("TRACE") != nil { for line in current?.traceText ?? [] { print(line) } }
                print("FAILED: \(error)")
                print(
                    "replay: enginesim --seeds \(seed)..<\(seed + 1) --operations "
                        + "\(arguments.operations)"
                )
                exit(1)
            }
            seeds += 1
        }
        let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
        report(counts, seeds: seeds, seconds: elapsed)
    }

    /// Runs random overwrites on a real disk.
    private static func scale(_ count: Int, _ directory: String?) {
        guard let directory else {
            print("--scale needs --directory")
            exit(1)
        }
        do {
            try ScaleRun(count: count, path: directory).run()
        } catch {
            print("FAILED: \(error)")
            exit(1)
        }
    }

    private static func report(_ counts: Tally, seeds: Int, seconds: UInt64) {
        for (group, counts) in counts.counts.sorted(by: { $0.key < $1.key }) {
            for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
                print(group, "|", name, "|", count)
            }
        }
        print(seeds, seconds)
    }
}
