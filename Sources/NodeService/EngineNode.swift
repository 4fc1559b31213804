internal import Replication
package import StorageEngine

/// A node that is alone: its store's only member, and so its leader.
///
/// Thread safety: every method may be called from any thread or task.
package final class EngineNode: Node {
    private let engine: Engine

    package init(_ engine: Engine) { self.engine = engine }

    package func status() async -> NodeStatus {
        let metrics = engine.metrics
        var position = Position(sequence: metrics.lastSequence)
        var trouble = metrics.poison.map { "\($0)" }
        do throws(EngineError) {
            position = try engine.position()
        } catch {
            trouble = trouble ?? "\(error)"
        }
        var status = NodeStatus(
            role: .leader,
            member: engine.memberID,
            history: engine.historyID,
            position: position,
            members: [own(metrics)],
            engine: metrics
        )
        status.leader = engine.memberID
        status.epoch = position.epoch
        status.trouble = trouble
        return status
    }

    private func own(_ metrics: Engine.Metrics) -> NodeStatus.Member {
        NodeStatus.Member(
            id: engine.memberID,
            address: "",
            role: "leader",
            isConnected: true,
            reached: [
                metrics.lastSequence, metrics.walSequence, metrics.diskSequence,
                metrics.lastSequence,
            ],
            lag: (0, 0, 0)
        )
    }

    package func value(for key: [UInt8], after position: Position?) async throws -> [UInt8]? {
        try check(position)
        return try await engine.value(for: key)
    }

    package func write(
        _ batch: consuming WriteBatch,
        _ demand: WriteDemand
    ) async throws -> NodeReceipt {
        switch demand.replicas {
        case .none, .allFollowers, .followers(0, _): break
        case .followers(let count, _):
            throw ReplicationError.tooManyFollowers(asked: count, configured: 0)
        }
        let receipt = try await engine.write(batch, ack: demand.local)
        return NodeReceipt(position: receipt.position, local: receipt.reached)
    }

    package func snapshot(after position: Position?) async throws -> Snapshot {
        try check(position)
        return try engine.makeSnapshot()
    }

    package func changes(
        after position: Position,
        upTo horizon: AckPoint
    ) async throws -> Changes {
        try await engine.changes(after: position, upTo: horizon)
    }

    package func promote(acceptLoss: Bool) async throws {}

    package func close() async throws { try await engine.close() }

    /// Whoever writes here reads here: what was acknowledged is readable.
    private func check(_ position: Position?) throws(EngineError) {
        guard let position, position.sequence > engine.lastSequence else { return }
        throw EngineError(
            .ahead,
            "reading after \(position.sequence): the last write is \(engine.lastSequence)",
            sequence: engine.lastSequence
        )
    }
}
