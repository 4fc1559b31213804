internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// A certificate for each member of a cluster.
struct ReplicaAuthority: Sendable {
    private let authority: CertificateAuthority
    private let members: [String: UniqueID]

    /// Makes keys and certificates in a temporary directory.
    ///
    /// - Returns: `nil` when there is no `openssl`, or it cannot do this.
    init?(memberCount: Int) throws {
        guard let authority = try CertificateAuthority(in: TemporaryDirectory.make()) else {
            return nil
        }
        self.authority = authority
        let ids = (0..<memberCount).map(ReplicaCluster.id)
        members = Dictionary(uniqueKeysWithValues: ids.map { (Self.name($0), $0) })
        for id in ids {
            guard try authority.issue(Self.name(id)) else { return nil }
        }
    }

    private static func name(_ id: UniqueID) -> String { "member-\(id.high)" }

    /// What a member shows, and whom it believes.
    func files(of id: UniqueID) -> TLSFiles {
        TLSFiles(
            certificateChain: authority.certificate(of: Self.name(id)),
            privateKey: authority.key(of: Self.name(id)),
            trustRoots: authority.roots,
            members: members
        )
    }
}
