internal import Replication

/// What a row of replicated writes waits for, besides its ack point.
struct ReplicaRow: Hashable, Sendable {
    /// What a worker's puts wait for, in turn.
    let requirements: [Requirement]
    /// `alone`, `none`, `mixed`, or so many followers and how far, as in `1@wal`.
    let name: String
    /// Whether the members' connections are encrypted.
    var isSecure = false

    /// A store that nobody follows.
    static let alone = ReplicaRow(requirements: [.none], name: "alone")

    /// The rows of a store that so many follow.
    static func matrix(followers: Int) -> [ReplicaRow] {
        var rows = [ReplicaRow(requirements: [.none], name: "none")]
        for count in [1, 2] where count < followers {
            rows += ReplicaPoint.allCases.map { point in
                ReplicaRow(
                    requirements: [.followers(count, at: point)],
                    name: "\(count)@\(point.name)"
                )
            }
        }
        return rows
            + ReplicaPoint.allCases.map { point in
                let count = followers <= 1 ? "\(followers)" : "all"
                return ReplicaRow(
                    requirements: [.allFollowers(at: point)],
                    name: "\(count)@\(point.name)"
                )
            } + [mixed]
    }

    /// No two puts of a worker in a row wait for the same.
    private static let mixed = ReplicaRow(
        requirements: [
            .none, .followers(1, at: .received), .followers(1, at: .wal), .allFollowers(at: .disk),
        ],
        name: "mixed"
    )

    /// One follower has the write in its kernel, over TLS.
    static let secured = ReplicaRow(
        requirements: [.followers(1, at: .wal)],
        name: "1@wal+tls",
        isSecure: true
    )
}

extension ReplicaPoint {
    var name: String {
        switch self {
        case .received: "received"
        case .wal: "wal"
        case .disk: "disk"
        case .applied: "applied"
        }
    }
}
