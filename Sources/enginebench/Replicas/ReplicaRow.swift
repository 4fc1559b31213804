internal import Replication

/// What a row of replicated writes waits for, besides its ack point.
struct ReplicaRow: Hashable, Sendable {
    let requirement: Requirement
    /// `alone`, `none`, or so many followers and how far, as in `1@wal`.
    let name: String
    /// Whether the members' connections are encrypted.
    var isSecure = false

    /// A store that nobody follows.
    static let alone = ReplicaRow(requirement: .none, name: "alone")

    /// The rows of a store that so many follow.
    static func matrix(followers: Int) -> [ReplicaRow] {
        var rows = [ReplicaRow(requirement: .none, name: "none")]
        for count in [1, 2] where count < followers {
            rows += ReplicaPoint.allCases.map { point in
                ReplicaRow(
                    requirement: .followers(count, at: point),
                    name: "\(count)@\(point.name)"
                )
            }
        }
        return rows
            + ReplicaPoint.allCases.map { point in
                let count = followers <= 1 ? "\(followers)" : "all"
                return ReplicaRow(
                    requirement: .allFollowers(at: point),
                    name: "\(count)@\(point.name)"
                )
            }
    }

    /// One follower has the write in its kernel, over TLS.
    static let secured = ReplicaRow(
        requirement: .followers(1, at: .wal),
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
