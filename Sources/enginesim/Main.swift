import Glibc
import StorageEngine
import StorageEngineTestSupport

// Simulates crashes: each seed writes, reads, kills and reopens a store on a simulated disk, and
// every promise is checked. Runs at least 100 seeds of the range, then as many more as the time
// allows.

@main
struct Main {
    static func main() {
        if CrashCommand.run(CommandLine.arguments) { return }
        if DamageRun.run(CommandLine.arguments) { return }
        let arguments = Arguments(CommandLine.arguments)
        if let count = arguments.scale { return scale(count, arguments.directory) }
        if feed(arguments) { return }
        let time = SystemTime()
        let start = time.monotonicNanoseconds
        var counts = SimulatedRun.Counts()
        var seeds = 0
        for seed in arguments.seeds {
            let elapsed = (time.monotonicNanoseconds - start) / 1_000_000_000
            if seeds >= 100, elapsed >= arguments.seconds { break }
            do {
                let run = try SimulatedRun(seed: seed)
                try run.run(operations: arguments.operations)
                counts += run.counts
            } catch {
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

    private static func report(_ counts: SimulatedRun.Counts, seeds: Int, seconds: UInt64) {
        let members: [(String, Int)] = [
            ("seeds", seeds), ("seconds", Int(seconds)), ("writes", counts.operations),
            ("acknowledged", counts.acknowledged), ("crashes", counts.crashes),
            ("cleanReopens", counts.reopens), ("positionsChecked", counts.positions),
            ("imagesOpened", counts.images), ("snapshotsChecked", counts.snapshots),
            ("flushes", counts.flushes), ("compactions", counts.compactions),
            ("moves", counts.moves),
        ]
        let text = members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",")
        print("{\(text)}")
    }
}
