public import StorageEngine

/// What a write had reached when its wait ended.
public struct ReplicatedReceipt: Sendable, Hashable {
    /// The write's place in the history.
    public let position: Position
    /// The furthest point that it had reached in the leader's own store.
    public let local: AckPoint
    /// How many voters besides the leader had it, per point in the order of ``ReplicaPoint``.
    private let counts: [Int]
    /// Whether fewer followers were waited for than the write asked for, because the store is
    /// degraded (``ShortfallPolicy/degrade(floor:after:)``).
    public let isDegraded: Bool

    init(position: Position, local: AckPoint, _ receipt: ReplicaReceipt?) {
        self.position = position
        self.local = receipt.flatMap(\.local).map { max($0, local) } ?? local
        counts = receipt?.followers ?? []
        isDegraded = receipt?.isDegraded ?? false
    }

    /// How many voters besides the leader had the write at a point.
    public func followers(at point: ReplicaPoint) -> Int {
        let index = Int(point.rawValue)
        return counts.indices.contains(index) ? counts[index] : 0
    }
}

/// Why a member did not do what it was asked.
@nonexhaustive
public enum ReplicationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The member does not lead, and nothing was written; the hint names who may.
    case notLeader(hint: UniqueID?)
    /// The write is in the log; whether it stays in the history is not known. The receipt says
    /// what it had reached.
    case indeterminate(ReplicatedReceipt, Reason)
    /// More followers were asked for than there can be; nothing was written.
    case tooManyFollowers(asked: Int, configured: Int)
    /// The member did not come to lead: too few voters answered, or another one leads.
    case promotionFailed
    /// The member has a history already, or is no voter.
    case notNew
    /// No history was begun: another voter has one, or is about to begin one.
    case historyFound(at: UniqueID)
    /// The position was not reached in time; it may be later.
    case notReached(Position)
    /// The store failed, or cannot be used now.
    case store(EngineError)

    /// Why an outcome is not known.
    public enum Reason: Sendable, Hashable {
        /// Fewer followers than asked for had the write in time.
        case tooFewFollowers
        /// The member was replaced as leader, or closed, meanwhile.
        case noLongerLeading
        /// The leader's own store failed.
        case store(EngineError)
    }

    /// One sentence for an operator.
    public var description: String {
        switch self {
        case .notLeader(let hint):
            "the member does not lead" + (hint.map { "; \($0) may" } ?? "")
        case .indeterminate(let receipt, let reason):
            "the write at \(receipt.position.sequence) may or may not stay: \(reason)"
        case .tooManyFollowers(let asked, let configured):
            "\(asked) followers were asked for, \(configured) are configured"
        case .promotionFailed: "too few voters answered, or another one leads"
        case .notNew: "only a voter without a history begins one"
        case .historyFound(let member): "member \(member) has a history, or is about to begin one"
        case .notReached(let position): "position \(position.sequence) was not reached in time"
        case .store(let error): error.description
        }
    }
}
