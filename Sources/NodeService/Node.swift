package import Replication
package import StorageEngine

/// What the service serves: a member of a store.
///
/// Thread safety: every method may be called from any thread or task.
package protocol Node: AnyObject, Sendable {
    /// How things stand.
    func status() async -> NodeStatus

    /// The newest value of a key. With a position, waits until what was written up to there is
    /// readable.
    ///
    /// - Throws: `EngineError`; `ahead`, or `ReplicationError.notReached`, when the position is not
    ///   reached in time.
    func value(for key: [UInt8], after position: Position?) async throws -> [UInt8]?

    /// Commits a batch and waits for what is asked of it.
    ///
    /// - Throws: `EngineError`, or `ReplicationError`: `notLeader` when another member takes
    ///   writes, `indeterminate` with what was reached when too few followers had it in time.
    func write(_ batch: consuming WriteBatch, _ demand: WriteDemand) async throws -> NodeReceipt

    /// A view of the entries as they are now; with a position as ``value(for:after:)``.
    func snapshot(after position: Position?) async throws -> Snapshot

    /// The writes behind a position, and those that come.
    func changes(after position: Position, upTo horizon: AckPoint) async throws -> Changes

    /// Makes this member the leader; returns once it leads.
    ///
    /// - Throws: `ReplicationError` when it did not come to lead.
    func promote(acceptLoss: Bool) async throws

    /// Writes everything to disk and closes the store.
    func close() async throws
}

/// When a write counts as done.
package struct WriteDemand: Hashable, Sendable {
    package var local = AckPoint.disk
    /// How many followers, and what they must have done with it.
    package var replicas = Requirement.none

    package init() {}
}

/// What a write has reached.
package struct NodeReceipt: Hashable, Sendable {
    package var position: Position
    package var local: AckPoint
    /// How many followers have it, by ``ReplicaPoint``.
    package var followers: [Int]
    /// Whether fewer followers were waited for than asked for.
    package var isDegraded: Bool

    package init(
        position: Position,
        local: AckPoint,
        followers: [Int] = [0, 0, 0, 0],
        isDegraded: Bool = false
    ) {
        self.position = position
        self.local = local
        self.followers = followers
        self.isDegraded = isDegraded
    }
}

extension NodeReceipt {
    init(_ receipt: ReplicatedReceipt) {
        self.init(
            position: receipt.position,
            local: receipt.local,
            followers: ReplicaPoint.allCases.map { receipt.followers(at: $0) },
            isDegraded: receipt.isDegraded
        )
    }
}
