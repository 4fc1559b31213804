import ArgumentParser
import StorageEngine

/// What survives the death of a process: `wal` does as well, where the system lives on.
enum DrillAck: String, CaseIterable, ExpressibleByArgument {
    case wal, disk
}

/// Writers that put keys at whoever leads, and note what was acknowledged.
///
/// Thread safety: every method may be called from any thread or task.
final class WriteLoad: Sendable {
    /// Every so many writes the writer's counter is written.
    private static let counterInterval = 8

    let record = WriteRecord()
    private let cluster: DrillCluster
    private let pause: Duration
    /// What a write must have reached.
    private let query: String
    private let guess = Guess()

    /// Whom writers believe to lead.
    private final class Guess: @unchecked Sendable {
        private let lock = Lock()
        private var index = 0

        var value: Int {
            get { lock.with { index } }
            set { lock.with { index = newValue } }
        }
    }

    /// - Parameters:
    ///   - cluster: Who is written to.
    ///   - pause: How long each writer rests between two writes.
    ///   - ack: What a write must have reached, of the leader and of one follower.
    init(_ cluster: DrillCluster, pause: Duration, ack: DrillAck) {
        self.cluster = cluster
        self.pause = pause
        query = "ack=\(ack)&followers=1&at=\(ack)"
    }

    /// Writes until the task is cancelled; the name is the writer's own.
    func run(_ name: Int) async {
        var number = 0
        var life = 0
        while !Task.isCancelled {
            number += 1
            if number % Self.counterInterval == 0 {
                // An outcome that is not known may come about late: the next one is another key.
                if await !count(number, "count-\(name)-\(life)") { life += 1 }
            } else {
                let (key, value) = ("key-\(name)-\(number)", "\(name):\(number)")
                if await put(value, for: key) { record.ack(value, for: key) }
            }
            do { try await Task.sleep(for: pause) } catch {}
        }
    }

    private func count(_ number: Int, _ key: String) async -> Bool {
        record.attempt(number, of: key)
        guard await put("\(number)", for: key) else { return false }
        record.ack(number, of: key)
        return true
    }

    /// Puts a value at whoever leads; returns whether that was acknowledged.
    private func put(_ value: String, for key: String) async -> Bool {
        let target = guess.value
        guard let client = cluster.client(target) else {
            await goOn(from: target, hint: nil)
            return false
        }
        switch await client.put(value, for: key, query) {
        case .done:
            return true
        case .notLeader(let hint):
            record.noteRefused()
            await goOn(from: target, hint: hint)
        case .unknown:
            record.noteUnknown()
            await goOn(from: target, hint: nil)
        }
        return false
    }

    private func goOn(from target: Int, hint: String?) async {
        let next = hint.flatMap { cluster.index(of: $0) } ?? (target + 1) % cluster.ids.count
        if guess.value == target { guess.value = next }
        do { try await Task.sleep(for: .milliseconds(20)) } catch {}
    }
}
