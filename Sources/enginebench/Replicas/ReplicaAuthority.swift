internal import Glibc
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// A certificate for each member of a cluster, by an authority of its own that is valid for a day;
/// made by the `openssl` tool.
struct ReplicaAuthority: Sendable {
    private let path: String
    private let members: [String: UniqueID]

    /// Makes keys and certificates in a temporary directory.
    ///
    /// - Returns: `nil` when there is no `openssl`, or it cannot do this.
    init?(memberCount: Int) throws {
        path = try TemporaryDirectory.make()
        let ids = (0..<memberCount).map(ReplicaCluster.id)
        members = Dictionary(uniqueKeysWithValues: ids.map { (Self.name($0), $0) })
        let root = ["-keyout", "\(path)/ca.key", "-out", "\(path)/ca.pem", "-subj", "/CN=bench"]
        guard try Self.openssl(["req", "-x509", "-nodes", "-days", "1"] + Self.newKey + root)
        else { return nil }
        for id in ids {
            guard try issue(id) else { return nil }
        }
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]

    private static func name(_ id: UniqueID) -> String { "member-\(id.high)" }

    /// What a member shows, and whom it believes.
    func files(of id: UniqueID) -> TLSFiles {
        let file = "\(path)/\(Self.name(id))"
        return TLSFiles(
            certificateChain: "\(file).pem",
            privateKey: "\(file).key",
            trustRoots: "\(path)/ca.pem",
            members: members
        )
    }

    /// The certificate is signed with the name in it, which openssl takes from the request.
    private func issue(_ id: UniqueID) throws -> Bool {
        let file = "\(path)/\(Self.name(id))"
        let request =
            ["req", "-new", "-nodes", "-subj", "/CN=member"] + Self.newKey + [
                "-addext", "subjectAltName=DNS:\(Self.name(id))", "-keyout", "\(file).key",
                "-out", "\(file).csr",
            ]
        let certificate = [
            "x509", "-req", "-in", "\(file).csr", "-CA", "\(path)/ca.pem", "-CAkey",
            "\(path)/ca.key", "-CAcreateserial", "-days", "1", "-copy_extensions", "copy",
            "-out", "\(file).pem",
        ]
        return try Self.openssl(request) && Self.openssl(certificate)
    }

    /// Runs the tool; what it prints is of no interest.
    private static func openssl(_ arguments: [String]) throws -> Bool {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            unsafe posix_spawn_file_actions_addopen(
                &actions,
                descriptor,
                "/dev/null",
                O_WRONLY,
                0
            )
        }
        var words = unsafe (["openssl"] + arguments).map { unsafe strdup($0) } + [nil]
        defer { unsafe words.forEach { unsafe free($0) } }
        var child: pid_t = 0
        guard unsafe posix_spawnp(&child, "openssl", &actions, nil, &words, nil) == 0 else {
            return false
        }
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else { throw ToolError.system("running openssl", errno: errno) }
        }
        return status == 0
    }
}
