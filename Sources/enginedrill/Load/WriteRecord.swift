import StorageEngine

/// What writers did, and what they were told.
///
/// Thread safety: every method may be called from any thread.
final class WriteRecord: @unchecked Sendable {
    /// A key that is written over and over, with a number that grows.
    struct Counter: Hashable, Sendable {
        var acked = 0
        var attempted = 0
    }

    private let lock = Lock()
    // What the lock protects.
    private var acked: [String: String] = [:]
    private var counters: [String: Counter] = [:]
    private var ackedCount = 0
    private var unknown = 0
    private var refused = 0

    func ack(_ value: String, for key: String) {
        lock.with {
            acked[key] = value
            ackedCount += 1
        }
    }

    func attempt(_ number: Int, of counter: String) {
        lock.with { counters[counter, default: Counter()].attempted = number }
    }

    func ack(_ number: Int, of counter: String) {
        lock.with {
            counters[counter, default: Counter()].acked = number
            ackedCount += 1
        }
    }

    func noteUnknown() { lock.with { unknown += 1 } }

    func noteRefused() { lock.with { refused += 1 } }

    /// How many writes were acknowledged, how many may or may not be there, and how often a node
    /// refused one.
    var counts: (acked: Int, unknown: Int, refused: Int) {
        lock.with { (ackedCount, unknown, refused) }
    }

    /// What a store lacks, or has wrong; empty when it has all that was acknowledged.
    func missing(
        _ value: (_ key: String) throws(EngineError) -> String?
    ) throws(EngineError) -> [String] {
        let (acked, counters) = lock.with { (self.acked, self.counters) }
        var missing: [String] = []
        for (key, expected) in acked {
            let found = try value(key)
            if found != expected { missing.append("\(key) is \(found ?? "absent")") }
        }
        for (key, counter) in counters {
            let found = try value(key).flatMap { Int($0) } ?? 0
            guard counter.acked <= found, found <= counter.attempted else {
                missing.append(
                    "\(key) is \(found), \(counter.acked) was acknowledged and "
                        + "\(counter.attempted) tried"
                )
                continue
            }
        }
        return missing
    }
}
