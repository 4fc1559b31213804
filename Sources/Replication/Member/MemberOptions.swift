public import StorageEngine

/// How a member is opened.
///
/// | option | default | unit | meaning |
/// |---|---|---|---|
/// | ``engine`` | | | options of its store |
/// | ``createIfMissing`` | false | | make the member when the directory is empty or absent |
/// | ``feeders`` | empty | | whom to follow first; the voters when it is empty |
/// | ``shortfall`` | fail after 2 s | | what to do when fewer followers are there than asked for |
/// | ``copyRate`` | nil | bytes/s | most that is read for copies of the whole state |
/// | ``catchUpRate`` | nil | bytes/s | most of the log that is read for followers that are behind |
public struct MemberOptions: Sendable {
    /// How the store is opened; ``Engine/Options/follows`` and ``Engine/Options/createIfMissing``
    /// are set by the member.
    public var engine = Engine.Options()
    /// Whether a member is made when the directory is empty or absent. A voter that lost its
    /// directory has forgotten what it promised: it should come back under another id. When it
    /// comes back under its own all the same, it is not counted among those who are consulted
    /// before somebody leads until it has caught up.
    public var createIfMissing = false
    /// Whom to ask for records first, in this order, while no leader is known: a chain or a ring
    /// names the member before this one. When none of them has fed this member for five seconds,
    /// any voter will do, until it fails in its turn.
    public var feeders: [UniqueID] = []
    /// What to do when fewer followers than asked for are there.
    public var shortfall = ShortfallPolicy.fail(after: .seconds(2))
    /// The most bytes that are read in a second for copies of the whole state, which are for
    /// followers that are too far behind; `nil` for no limit.
    public var copyRate: UInt64?
    /// The most bytes of records that are sent in a second to followers that come to follow and are
    /// behind, to all of them together; `nil` for no limit. Once such a follower has had all that
    /// the log held it is sent everything at once. When more than this is written all the time, it
    /// never comes so far.
    public var catchUpRate: UInt64?
    /// Times and sizes of the protocol.
    package var settings = Settings()
    /// How often time passes for the protocol, in milliseconds.
    package var tickInterval: UInt64 = 20

    /// The defaults of the table above.
    public init() {}

    /// The protocol's settings, with what the public options say.
    var coreSettings: Settings {
        var settings = settings
        settings.shortfall = shortfall.core
        settings.catchUpRate = catchUpRate
        return settings
    }
}

/// What to do when fewer followers than a write asked for are there.
public enum ShortfallPolicy: Sendable, Hashable {
    /// The write's outcome is unknown after so long; it stays in the log, and its receipt says what
    /// was reached.
    case fail(after: Duration)
    /// The write waits.
    case wait
    /// After so long the store as a whole asks for `floor` followers only, until enough are back;
    /// receipts, events and ``MemberStatus/isDegraded`` say so. Below the floor the outcome is
    /// unknown after the same time.
    case degrade(floor: Int, after: Duration)

    fileprivate var core: Shortfall {
        switch self {
        case .fail(let after): .fail(after: after.ticks)
        case .wait: .wait
        case .degrade(let floor, let after): .degrade(floor: max(floor, 0), after: after.ticks)
        }
    }
}

extension Duration {
    /// Whole milliseconds, not below zero.
    var ticks: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0, seconds < 1 << 40 else { return 0 }
        return UInt64(seconds) * 1_000 + UInt64(attoseconds / 1_000_000_000_000_000)
    }
}
