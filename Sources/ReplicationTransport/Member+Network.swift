public import Replication
public import StorageEngine

/// Members whose links go over the network.
extension Member {
    /// Opens a member that reaches the others over TCP, with TLS on both sides, and makes it when
    /// that is wanted and there is none. Closing the member ends its links.
    ///
    /// Blocks while the store is opened; whether the others can be reached changes nothing.
    ///
    /// - Parameters:
    ///   - path: Its directory; when it is made, its parent must exist.
    ///   - id: Names the member. It must be the one that the directory was made with.
    ///   - membership: Who counts; the same for all members.
    ///   - network: Where the member listens, and where the others do: all voters, and whoever else
    ///     follows.
    ///   - options: How to open it.
    /// - Returns: The member; one that led and was closed cleanly leads. The first of all begins
    ///   its history with ``Member/bootstrap()``.
    /// - Throws: ``EngineError`` with code `invalidArgument` when the network's options cannot be,
    ///   or lack a voter; `io` when the address cannot be bound or a file not be read; `notAStore`
    ///   when there is no member and none is to be made, `wrongStore` when the directory is another
    ///   member's, `locked` when it is open; what opening its store throws.
    public static func open(
        at path: String,
        id: UniqueID,
        membership: Membership,
        network: NetworkOptions,
        options: MemberOptions = MemberOptions()
    ) throws(EngineError) -> Member {
        let links = try NetworkLinks.open(
            member: id,
            membership: membership,
            options: network
        ) { _ in }
        return try open(at: path, id: id, membership: membership, over: links, options: options)
    }

    /// Opens a member over links that are its own from now on.
    ///
    /// - Throws: As `open(at:id:membership:network:options:)`; the links are stopped then.
    package static func open(
        at path: String,
        id: UniqueID,
        membership: Membership,
        over links: NetworkLinks,
        options: MemberOptions
    ) throws(EngineError) -> Member {
        do throws(EngineError) {
            return try open(
                at: path,
                id: id,
                membership: membership,
                links: links,
                options: options
            )
        } catch {
            links.stop()
            throw error
        }
    }

    /// Reads the files of certificates again, for connections from now on; those that there are go
    /// on. Does nothing for a member without TLS.
    ///
    /// - Throws: ``EngineError`` with code `invalidArgument` or `io` when the files cannot be used;
    ///   what was read before stays in use.
    public func reloadCertificates() throws(EngineError) {
        guard let network = links as? NetworkLinks else { return }
        try network.reload()
    }
}

extension NetworkLinks {
    /// Binds the address of a member; nobody is accepted before the member is open.
    ///
    /// - Throws: As `open(member:options:onEvent:)`; `invalidArgument` when a voter has no address.
    package static func open(
        member: UniqueID,
        membership: Membership,
        options: NetworkOptions,
        onEvent: @escaping @Sendable (NetworkEvent) -> Void
    ) throws(EngineError) -> NetworkLinks {
        let unknown = membership.voters.first { $0 != member && options.peers[$0] == nil }
        if let unknown {
            throw .invalidArgument("voter \(unknown) has no address among the network's peers")
        }
        return try open(member: member, options: options, onEvent: onEvent)
    }
}
