import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// Leaders whose log does not go back far enough for a follower.
extension MemberCluster {
    /// A leader with so many values of a kilobyte, whose log does not go back to the beginning.
    func trimmedLeader(values: Int) throws -> Member {
        options.engine.logFileSize = 16_384
        options.engine.retainedLogSize = 0
        let leader = try open(0)
        try leader.bootstrap()
        var generator = SeededGenerator(seed: UInt64(values))
        for number in 0..<values {
            let value = (0..<1_000).map { _ in UInt8.random(in: 0x61...0x7a, using: &generator) }
            _ = try leader.put(value, for: "\(number)", ack: .wal)
        }
        let engine = try #require(leader.engine)
        try engine.flush()
        try engine.trimLog(through: engine.lastSequence)
        return leader
    }

    /// A follower is away while the leader changes a few of many values, and lets its log go.
    func leaveBehind(values: Int, changed: Int) async throws {
        let members = [try trimmedLeader(values: values), try open(1)]
        try await waitUntilEqual()
        let end = members[1].status.position
        try close(1)
        var generator = SeededGenerator(seed: 4)
        for round in 0..<3 {
            for number in 0..<changed {
                let value = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
                _ = try await members[0].put(value, for: "\(number * 7)", ack: .wal)
            }
            _ = try await members[0].delete("\(round)", ack: .wal)
        }
        try await letGo(members[0], behind: end)
    }

    /// Nothing needs the log any more, and it goes, until it does not go back to a position.
    private func letGo(_ leader: Member, behind position: Position) async throws {
        let engine = try #require(leader.engine)
        for slot in engine.slots { try engine.dropSlot(slot.name) }
        try await engine.flush()
        try await Self.wait("the log is gone") {
            // A file goes once another one has begun.
            _ = try leader.put("x", for: "x", ack: .disk)
            try engine.flush()
            try engine.trimLog(through: engine.lastSequence)
            do throws(EngineError) {
                _ = try engine.recordCursor(after: position)
                return false
            } catch {
                return error.code == .trimmed
            }
        }
    }

    /// Whether two members' logs end at the same position; no, while a store is being replaced.
    func haveSameLog(_ one: Int, _ other: Int) throws -> Bool {
        guard let end = Self.end(of: try self[one]) else { return false }
        return end == Self.end(of: try self[other])
    }

    /// Whether two members have the same keys and values.
    func haveSameContents(_ one: Int, _ other: Int) throws -> Bool {
        try Self.contents(self[one]) == Self.contents(self[other])
    }
}
