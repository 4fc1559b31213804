public import StorageEngine

/// Who counts. Static: every member is started with the same one.
///
/// A voter's acknowledgements count, and voters are consulted before anybody begins to lead. Any
/// other member is an observer: it follows, but never counts and never leads.
public struct Membership: Hashable, Sendable {
    /// The voters, the leader among them, ascending.
    public let voters: [UniqueID]
    /// The smallest number of followers in a requirement that carries a failover promise (w₀).
    public let failoverFollowers: Int

    /// - Throws: `invalidArgument` when a voter is named twice, there is none, or the number of
    ///   followers is not between 1 and the number of voters less one (0 for a single voter).
    public init(voters: [UniqueID], failoverFollowers: Int = 1) throws(EngineError) {
        let sorted = voters.sorted { ($0.high, $0.low) < ($1.high, $1.low) }
        guard !sorted.isEmpty, zip(sorted, sorted.dropFirst()).allSatisfy({ $0 != $1 }) else {
            throw .invalidArgument("voters must be distinct, and at least one")
        }
        let range = min(1, sorted.count - 1)...max(0, sorted.count - 1)
        guard range.contains(failoverFollowers) else {
            throw .invalidArgument(
                "failover followers must be in \(range), found \(failoverFollowers)"
            )
        }
        self.voters = sorted
        self.failoverFollowers = failoverFollowers
    }

    /// How many voters can follow: all but the leader (F).
    package var followersMax: Int { voters.count - 1 }

    /// How many voters must promise before one of them leads: F − w₀ + 1, those whose log may have
    /// lost something not counted. Any so many meet every set of a leader and w₀ followers.
    /// A single voter asks nobody.
    package var consultedMin: Int { voters.count - max(failoverFollowers, 1) }

    /// The next term that a voter may ask for. No two voters ever ask for the same.
    package func term(after last: UInt64, of voter: UniqueID) -> UInt64 {
        guard let index = voters.firstIndex(of: voter) else {
            preconditionFailure("only voters lead")
        }
        let count = UInt64(voters.count)
        let next = last + 1
        return next + (UInt64(index) + count - next % count) % count
    }

    package func isVoter(_ member: UniqueID) -> Bool { voters.contains(member) }
}

/// What a member is to the others.
package enum Role: UInt8, Sendable, Hashable {
    case voter, observer
}

/// Whether a member's log still holds all that it acknowledged by leading.
package enum Standing: UInt8, Sendable, Hashable {
    /// It does.
    case clear
    /// It led, and the end of its log was not proven to be on disk since: an unclean end makes it
    /// suspect.
    case originated
    /// It led, and may have lost the end of its log. It is not counted among the consulted until
    /// it holds, on disk, all that a later leader has.
    case suspect
}

/// What a member must remember through any crash, besides its log: replaced durably, as a whole.
package struct Mark: Hashable, Sendable {
    /// The history of its log; `nil` for a member that never followed.
    package var history: UniqueID?
    /// Counts the openings of the member; drawn by nobody, so that reports have an order.
    package var incarnation: UInt64 = 0
    /// The highest epoch that was promised or accepted: no leader of a lower one is listened to.
    package var promised = Epoch.none
    /// Whose epoch that is.
    package var holder: UniqueID?
    /// Whether the member itself leads ``promised``, or has to find out whether it may.
    package var leads = false
    package var standing = Standing.clear

    package init() {}
}

/// Times in ticks of the host's monotonic clock, and sizes in bytes.
package struct Settings: Hashable, Sendable {
    package var beatInterval: Tick = 100
    /// How often a follower reports when nothing changed.
    package var reportInterval: Tick = 100
    /// How long an answer is waited for before the next member is greeted.
    package var greetTimeout: Tick = 1_000
    /// How long a follower waits for beats, and a feeder for reports.
    package var silenceMax: Tick = 3_000
    /// How long a follower that is behind waits for anything that gets it further.
    package var stallMax: Tick = 5_000
    /// How long only those who are preferred are greeted; then any voter will do.
    package var preferenceTime: Tick = 5_000
    /// How long before a member is greeted again.
    package var greetPause: Tick = 50
    package var consultInterval: Tick = 200
    /// How long an operator's promotion may look for enough voters.
    package var consultTimeout: Tick = 10_000
    package var shortfall = Shortfall.fail(after: 2_000)
    /// How long a write is short before ``Shortfall/degrade(floor:after:)`` takes effect, how close
    /// to the leader's end the followers must be, and for how long, to end it.
    package var rejoinLag: UInt64 = 64
    package var rejoinHold: Tick = 1_000
    /// How much a feeder may send ahead of what its follower has written.
    package var windowSize: UInt64 = 4 << 20
    package var packSizeMax: UInt64 = 256 << 10
    /// The most bytes of records a second for all followers together that are behind, so that what
    /// they catch up with hurts nobody else; `nil` and 0 for no limit.
    package var catchUpRate: UInt64?
    package var sessionsMax = 64
    /// How many members may be between a leader and a follower.
    package var routeMax = 32
    /// Whether a follower feeds others.
    package var relays = true

    package init() {}
}

/// A host's monotonic time in milliseconds.
package typealias Tick = UInt64

/// What to do when fewer followers than asked for are there.
package enum Shortfall: Hashable, Sendable {
    /// The write's outcome is indeterminate after so long; it stays in the log.
    case fail(after: Tick)
    /// The write waits.
    case wait
    /// After so long short, the store as a whole asks for `floor` followers only, until enough are
    /// back; a write below the floor is indeterminate after the same time.
    case degrade(floor: Int, after: Tick)
}

/// The promotions that an epoch number counts, and the openings of the leader since.
///
/// An epoch number is term × 2³² + opening. A term begins when enough voters promised it; within
/// it, the same member begins a new epoch after each clean opening, without asking anybody. So the
/// openings of a leader that was replaced never rank above those of its successor.
extension Epoch {
    package static let openingBits: UInt64 = 32
    /// Numbers from here on are refused when they come from others, so that none can overflow.
    package static let numberMax: UInt64 = 1 << 62

    package var term: UInt64 { number >> Epoch.openingBits }

    package var isFirstOfTerm: Bool { term << Epoch.openingBits == number }

    /// The first epoch of a term.
    package init(term: UInt64, starter: UInt64) {
        self.init(number: term << Epoch.openingBits, starter: starter)
    }

    /// The epoch of the same leader after a clean opening.
    package func reopened(starter: UInt64) -> Epoch {
        Epoch(number: number + 1, starter: starter)
    }
}
