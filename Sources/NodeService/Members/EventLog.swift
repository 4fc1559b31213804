internal import Logging
internal import Replication
internal import ReplicationTransport
internal import StorageEngine

/// Tells operators what happens to a member and to its links. What is told waits for nobody: the
/// oldest of more than a thousand events are lost.
///
/// Thread safety: every method may be called from any thread or task.
final class EventLog: Sendable {
    private static let eventsMax = 1_000
    /// How many events are remembered that are not to be told again.
    private static let toldMax = 100

    private let logger: Logger
    private let events: AsyncStream<NetworkEvent>.Continuation

    init(_ logger: Logger) {
        self.logger = logger
        let (stream, events) = AsyncStream<NetworkEvent>.makeStream(
            bufferingPolicy: .bufferingNewest(Self.eventsMax)
        )
        self.events = events
        Task {
            var unreachable: Set<UniqueID> = []
            for await event in stream { Self.log(event, &unreachable, logger) }
        }
    }

    func note(_ event: NetworkEvent) { events.yield(event) }

    /// Tells of a member from now on, until it is closed.
    func listen(to member: Member) {
        let events = member.events
        let logger = logger
        Task {
            var told: Set<MemberEvent> = []
            for await event in events { Self.log(event, &told, logger) }
        }
    }

    /// Tells that a member was to begin a history and has one.
    func noteHistory() { logger.notice("the member has a history, or may begin none") }

    func end() { events.finish() }

    /// A member that cannot be reached is dialed over and over, and told of once.
    private static func log(
        _ event: NetworkEvent,
        _ unreachable: inout Set<UniqueID>,
        _ logger: Logger
    ) {
        switch event {
        case .dialed(let member):
            unreachable.remove(member)
            logger.notice("member \(member) is reached")
        case .dialFailed(let member, let failure):
            guard unreachable.insert(member).inserted else { return }
            logger.warning("member \(member) cannot be reached: \(failure)")
        case .hungUp(let member, let failure):
            logger.notice("the connection to member \(member) ended: \(failure)")
        case .accepted(let member): logger.notice("member \(member) connected")
        case .lost(let member, let failure):
            logger.notice("the connection of member \(member) ended: \(failure)")
        case .refused(let address, let failure):
            logger.warning("a connection from \(address) was refused: \(failure)")
        case .notSent(let member, let failure):
            logger.error("a packet to member \(member) cannot be sent: \(failure)")
        case .reloaded: logger.notice("certificates were read again")
        }
    }

    /// A member that nobody feeds asks over and over, and is told of once.
    private static func log(
        _ event: MemberEvent,
        _ told: inout Set<MemberEvent>,
        _ logger: Logger
    ) {
        switch event {
        case .refused, .lostFeeder:
            if told.count >= toldMax { told = [] }
            guard told.insert(event).inserted else { return }
            logger.notice("\(event)")
        case .leading, .following, .steppedDown:
            told = []
            logger.notice("\(event)")
        case .historyFound(let member):
            logger.warning("member \(member) has a history: this one begins none, and is to be fed")
        case .begunWithout(let voters):
            let names = voters.map { "\($0)" }.joined(separator: ", ")
            logger.warning("a history is begun, and these voters could not be asked: \(names)")
        case .storeFailed(let error): logger.error("the store failed: \(error)")
        case .lossAccepted, .suspect, .degraded, .wrongHistory, .aheadReport, .cutting,
            .changesNotCopied:
            logger.warning("\(event)")
        default: logger.notice("\(event)")
        }
    }
}
