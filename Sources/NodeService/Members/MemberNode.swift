package import Logging
internal import NIOPosix
internal import Replication
internal import ReplicationTransport
package import StorageEngine

/// A node that is one of several: a member of a replicated store, with its links to the others.
///
/// Thread safety: every method may be called from any thread or task.
package final class MemberNode: Node, @unchecked Sendable {
    let member: Member
    let network: NetworkLinks
    let cluster: NodeConfiguration.Cluster
    private let log: EventLog
    private let lock = Lock()
    // The lock.
    private var otherHistory: UniqueID?

    /// Opens the member, and makes it when its directory is empty or absent. Blocks.
    ///
    /// - Parameters:
    ///   - path: The member's directory.
    ///   - cluster: Who it is, and who the others are.
    ///   - logger: Is told what happens to it.
    /// - Throws: `EngineError`, see `Member.open`.
    package init(
        at path: String,
        _ cluster: NodeConfiguration.Cluster,
        logger: Logger
    ) throws(EngineError) {
        let log = EventLog(logger)
        let network = try NetworkLinks.open(
            member: cluster.member,
            membership: cluster.membership,
            options: cluster.network
        ) { event in log.note(event) }
        var options = cluster.options
        options.createIfMissing = true
        options.engine.logger = logger
        do throws(EngineError) {
            member = try Member.open(
                at: path,
                id: cluster.member,
                membership: cluster.membership,
                over: network,
                options: options
            )
        } catch {
            log.end()
            throw error
        }
        self.network = network
        self.cluster = cluster
        self.log = log
        log.listen(to: member)
    }

    /// Where the other members reach it.
    package var port: Int { network.port }

    /// Begins a history if the member has none: for the first member of all. Suspends until it
    /// leads, or does not: when another voter shows that it has one, the member goes on without,
    /// until it is fed, and says so in its log and its status.
    ///
    /// - Parameter time: How long the other voters are asked.
    /// - Throws: `ReplicationError.store` when the store cannot be made, or is closed.
    package func beginHistory(asking time: Duration = .seconds(5)) async throws {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            do throws(ReplicationError) {
                try member.bootstrap(asking: time)
            } catch {
                switch error {
                case .notNew: log.noteHistory()
                case .historyFound(let other): lock.with { otherHistory = other }
                default: throw error
                }
            }
        }
    }

    /// Who has a history, so that this member did not begin one.
    var historyHolder: UniqueID? { lock.with { otherHistory } }

    /// Reads the certificates again, for connections from now on.
    ///
    /// - Throws: `EngineError` when they cannot be used; the old ones stay.
    package func reload() throws(EngineError) { try network.reload() }

    package func value(for key: [UInt8], after position: Position?) async throws -> [UInt8]? {
        guard let position else { return try await engine().value(for: key) }
        let snapshot = try await member.read(after: position)
        return try await NIOThreadPool.singleton.runIfActive { try snapshot.value(for: key) }
    }

    package func write(
        _ batch: consuming WriteBatch,
        _ demand: WriteDemand
    ) async throws -> NodeReceipt {
        NodeReceipt(
            try await member.write(batch, ack: demand.local, replicas: demand.replicas)
        )
    }

    package func snapshot(after position: Position?) async throws -> Snapshot {
        guard let position else { return try engine().makeSnapshot() }
        return try await member.read(after: position)
    }

    package func changes(
        after position: Position,
        upTo horizon: AckPoint
    ) async throws -> Changes {
        try await engine().changes(after: position, upTo: horizon)
    }

    package func promote(acceptLoss: Bool) async throws {
        try await member.promote(acceptLoss: acceptLoss)
    }

    package func close() async throws {
        let member = member
        try await NIOThreadPool.singleton.runIfActive { try member.close() }
        log.end()
    }

    private func engine() throws(EngineError) -> Engine {
        guard let engine = member.engine else {
            throw EngineError(
                .stalled,
                "using the store: the member has no history yet, or another store takes its place"
            )
        }
        return engine
    }
}
