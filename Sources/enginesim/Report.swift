import StorageEngineTestSupport

/// What was counted, printed and added to a file of JSON, which may be the sum of many sittings.
struct Report {
    private let path: String?
    private var added = Tally()
    private var runs: [String] = []

    init(path: String?) { self.path = path }

    mutating func add(_ tally: Tally, _ run: String) {
        added += tally
        runs.append(run)
    }

    /// Prints the counts, adds them to the file, and throws when a promise was broken.
    mutating func finish(_ done: Crew.Done, replay: String) throws {
        for kind in SimulationFailure.Kind.allCases {
            added.add("broken promises", kind.rawValue, 0)
        }
        for what in Sometimes.allCases { added.sometimes(what, false) }
        if let failure = done.failure {
            let kind = (failure.error as? SimulationFailure)?.kind ?? .other
            added.add("broken promises", kind.rawValue)
        }
        for (group, counts) in added.counts.sorted(by: { $0.key < $1.key }) {
            print(group)
            for (name, count) in counts.sorted(by: { $0.key < $1.key }) {
                print("    \(name): \(count)")
            }
        }
        try save()
        if let failure = done.failure {
            print("replay: \(replay)")
            throw failure.error
        }
        if !done.hashes.isEmpty { try checkSometimes() }
    }

    /// What should happen sometimes must have happened, once there were enough seeds.
    private func checkSometimes() throws {
        guard added["totals", "seeds"] >= Self.seedsForSometimes else { return }
        let never = Sometimes.allCases.filter { added["sometimes", $0.rawValue] == 0 }
        guard never.isEmpty else {
            let names = never.map(\.rawValue).joined(separator: "; ")
            throw SimulationFailure("never happened: \(names)")
        }
    }

    private static let seedsForSometimes = 300

    /// Adds the counts to the file, if there is to be one.
    func save() throws {
        guard let path else { return }
        try CountsFile(path: path).add(added, runs)
    }
}
