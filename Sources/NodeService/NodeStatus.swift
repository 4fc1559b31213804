package import ReplicationTransport
package import StorageEngine

/// How a node is, and what it knows of the others.
package struct NodeStatus: Hashable, Sendable {
    package enum Role: String, Hashable, Sendable {
        case leader
        /// Records come from a feeder.
        case follower
        /// It is about to lead.
        case candidate
        /// It knows nobody who could feed it.
        case alone
    }

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
        /// Where the other members reach it; empty for a store that is alone.
        package var address: String
        /// `leader`, `voter` or `observer`.
        package var role: String
        package var isConnected: Bool
        /// Sequences, by ``ReplicaPoint``; `nil` for a member of which nothing is known here.
        package var reached: [UInt64]?
        package var lagSequences: UInt64
        package var lagBytes: UInt64
        /// The age of the oldest write that it lacks.
        package var lagMilliseconds: UInt64

        package init(
            id: UniqueID,
            address: String,
            role: String,
            isConnected: Bool,
            reached: [UInt64]?,
            lag: (sequences: UInt64, bytes: UInt64, milliseconds: UInt64)
        ) {
            self.id = id
            self.address = address
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
    /// `nil` for a member that never followed.
    package var history: UniqueID?
    package var position: Position
    package var members: [Member]
    package var shortfall = Shortfall.none
    /// Who leads, as far as is known.
    package var leader: UniqueID?
    /// Who feeds this member.
    package var feeder: UniqueID?
    /// The highest epoch that the member has promised or accepted.
    package var epoch = Epoch.none
    /// What so many followers as carry a failover promise have on disk; `nil` for who does not
    /// know.
    package var replicatedSequence: UInt64?
    /// Voters that do not follow, as the leader sees it.
    package var missing: [UniqueID] = []
    /// Whether the log may lack what the member acknowledged as leader.
    package var isSuspect = false
    /// Why reads or writes are not served; `nil` when they are.
    package var trouble: String?
    /// `nil` while there is no store.
    package var engine: Engine.Metrics?
    /// `nil` for a store that is alone.
    package var network: NetworkCounts?

    package init(
        role: Role,
        member: UniqueID,
        history: UniqueID?,
        position: Position,
        members: [Member],
        engine: Engine.Metrics?
    ) {
        self.role = role
        self.member = member
        self.history = history
        self.position = position
        self.members = members
        self.engine = engine
    }
}
