import Glibc
import StorageEngine
import StorageEngineTestSupport

/// The sweep of damage at rest: `enginesim --damage [--stride N]`, every byte by default.
///
/// A run that hangs is ended by an alarm; one that takes more memory than a few times the store is
/// a failure.
enum DamageRun {
    private static let memoryMax = 256 << 20
    private static let secondsMax: UInt32 = 60

    /// Runs the sweep when the arguments ask for it, and tells whether they do.
    static func run(_ words: [String]) -> Bool {
        guard words.contains("--damage") else { return false }
        let place = words.firstIndex(of: "--stride").map { $0 + 1 }
        let stride = place.flatMap { $0 < words.count ? UInt64(words[$0]) : nil } ?? 1
        do {
            try sweep(stride: max(stride, 1))
        } catch {
            print("FAILED: \(error)")
            print("replay: enginesim --damage --stride \(stride)")
            exit(1)
        }
        return true
    }

    private static func sweep(stride: UInt64) throws {
        let sweep = DamageSweep(try SampleStore())
        var counts: [String: Int] = [:]
        let damages = try sweep.damages(stride: stride)
        for damage in damages {
            alarm(secondsMax)
            let outcome = try sweep.check(damage)
            counts["\(damage.kind): \(outcome.name)", default: 0] += 1
        }
        let images = damages.count
        try repair(sweep.store, damages, &counts)
        alarm(0)
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let memory = usage.ru_maxrss << 10
        guard memory <= memoryMax else {
            throw SimulationFailure("\(memory) bytes of memory were needed")
        }
        let size = sweep.store.files.reduce(0) { $0 + $1.size }
        let members =
            [("storeBytes", Int(size)), ("images", images)]
            + counts.sorted { $0.key < $1.key } + [("memoryBytes", memory)]
        let text = members.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ",")
        print("{\(text)}")
    }

    /// Repairs and salvages a part of the damaged stores, some with several damages, and crashes
    /// repairs at every step.
    private static func repair(
        _ store: SampleStore,
        _ damages: [Damage],
        _ counts: inout [String: Int]
    ) throws {
        let check = RepairCheck(store)
        var generator = SeededGenerator(seed: 1)
        for index in stride(from: 0, to: damages.count, by: 7) {
            alarm(secondsMax)
            var chosen = [damages[index]]
            if index % 2 == 1, let other = damages.randomElement(using: &generator) {
                chosen.append(other)
            }
            let report = try check.checkRepair(chosen)
            let told = report.map { $0.losses.isEmpty ? "repaired, nothing lost" : "repaired" }
            counts[told ?? "nothing repaired", default: 0] += 1
            let salvage = try check.checkSalvage(chosen)
            let isWhole = salvage.losses.isEmpty
            counts[isWhole ? "salvaged, nothing lost" : "salvaged", default: 0] += 1
        }
        for (damage, name) in RepairCheck.ways {
            alarm(secondsMax)
            let crashes = try check.checkCrashes(of: damage, to: name, every: 1)
            counts["repairs crashed", default: 0] += crashes
        }
    }
}
