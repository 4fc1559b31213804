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
    /// - Throws: `EngineError`; `ahead` when the position is not reached in time.
    func value(for key: [UInt8], after position: Position?) async throws -> [UInt8]?

    /// Commits a batch and waits for what is asked of it.
    ///
    /// - Throws: `EngineError`, `notLeader` when another member takes writes.
    func write(_ batch: consuming WriteBatch, _ demand: WriteDemand) async throws -> NodeReceipt

    /// A view of the entries as they are now; with a position as ``value(for:after:)``.
    func snapshot(after position: Position?) async throws -> Snapshot

    /// The writes behind a position, and those that come.
    func changes(after position: Position, upTo horizon: AckPoint) async throws -> Changes

    /// Makes this member the leader.
    func promote(acceptLoss: Bool) async throws

    /// Writes everything to disk and closes the store.
    func close() async throws
}

/// When a write counts as done.
package struct WriteDemand: Hashable, Sendable {
    package var local = AckPoint.disk
    /// How many followers, and what they must have done with it.
    package var followers = 0
    package var followersAt = FollowerPoint.disk

    package init() {}
}

/// What a follower has done with a write.
package enum FollowerPoint: String, Hashable, Sendable, CaseIterable {
    case received, wal, disk, applied
}

/// What a write has reached.
package struct NodeReceipt: Hashable, Sendable {
    package var position: Position
    package var local: AckPoint
    /// How many followers have it, by point.
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

/// How a node is, and what it knows of the others.
package struct NodeStatus: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable { case leader, follower, candidate }

    /// Whether writes get as many followers as they ask for.
    package enum Shortfall: Hashable, Sendable {
        case none
        /// Writes wait for these members.
        case waiting(writes: Int, blockers: [UniqueID])
        /// The store asks for so many only.
        case degraded(followers: Int)
    }

    package struct Member: Hashable, Sendable {
        package var id: UniqueID
        package var name: String
        /// `leader`, `voter` or `observer`.
        package var role: String
        package var isConnected: Bool
        /// Sequences, by ``FollowerPoint``.
        package var reached: [UInt64]
        package var lagSequences: UInt64
        package var lagBytes: UInt64
        /// The age of the oldest write that it lacks.
        package var lagMilliseconds: UInt64

        package init(
            id: UniqueID,
            name: String,
            role: String,
            isConnected: Bool,
            reached: [UInt64],
            lag: (sequences: UInt64, bytes: UInt64, milliseconds: UInt64)
        ) {
            self.id = id
            self.name = name
            self.role = role
            self.isConnected = isConnected
            self.reached = reached
            lagSequences = lag.sequences
            lagBytes = lag.bytes
            lagMilliseconds = lag.milliseconds
        }
    }

    package var role: Role
    package var member: UniqueID
    package var history: UniqueID
    package var position: Position
    package var members: [Member]
    package var shortfall = Shortfall.none
    /// Why reads or writes are not served; `nil` when they are.
    package var trouble: String?
    package var engine: Engine.Metrics

    package init(
        role: Role,
        member: UniqueID,
        history: UniqueID,
        position: Position,
        members: [Member],
        engine: Engine.Metrics
    ) {
        self.role = role
        self.member = member
        self.history = history
        self.position = position
        self.members = members
        self.engine = engine
    }
}
