import Glibc
import StorageEngine
import StorageEngineTestSupport

/// The commands with which a script crashes a real store, see `Scripts/power-cut.sh`:
///
///     enginesim crash-writer DIR
///     enginesim crash-check DIR ACKS FLOOR wal|disk
///     enginesim crash-report FILE RUN NAME=COUNT…      adds to what --json FILE holds
enum CrashCommand {
    /// Runs a command; `false` when the words are none.
    static func run(_ words: [String]) -> Bool {
        guard words.count > 1, words[1].hasPrefix("crash-") else { return false }
        do {
            switch (words[1], words.count) {
            case ("crash-writer", 3): try CrashWriter(path: words[2]).run()
            case ("crash-check", 6):
                guard let point = AckPoint.allCases.first(where: { "\($0)" == words[5] }) else {
                    return false
                }
                try CrashCheck(
                    path: words[2],
                    acksPath: words[3],
                    floorPath: words[4],
                    point: point
                ).run()
            case ("crash-report", 5...):
                var tally = Tally()
                for word in words[4...] {
                    let parts = word.split(separator: "=")
                    guard parts.count == 2, let count = Int(parts[1]) else { return false }
                    tally.add("real crashes", String(parts[0]), count)
                }
                var report = Report(path: words[2])
                report.add(tally, words[3])
                try report.save()
            default: return false
            }
        } catch {
            print("FAILED: \(error)")
            exit(1)
        }
        return true
    }
}
