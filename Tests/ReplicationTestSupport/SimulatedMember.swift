import Replication
import StorageEngine
import StorageEngineTestSupport

/// One member: the core of the protocol, a model of its store, and the host between them.
///
/// Thread safety: none; it belongs to its run.
final class SimulatedMember {
    let slot: Int
    var id: UniqueID
    var core: MemberCore
    var store = MemberStore()
    /// Counts the processes: what an old one had planned does not happen.
    var life = 0
    var isUp = false
    var pausedUntil: UInt64 = 0
    /// Actions behind a mark that is not durable yet.
    var waiting: [CoreAction] = []
    var isPersisting = false
    /// The epoch in which the host may make records; `nil` for one that does not lead.
    var leadership: Leadership?
    /// Which line of the log the store is on.
    var generation: UInt64 = 0
    var isDiskSlow = false
    /// The member's clock: what it showed at some time, and how fast it runs since, in thousandths.
    private var clockStart: (time: UInt64, tick: Tick) = (0, 0)
    private var clockRate: UInt64 = 1_000
    var copies: [UInt64: CopyOffer] = [:]
    /// What a crash may leave done or not.
    var markInFlight: Mark?
    var cutInFlight: Tail?
    var copyInFlight: CopyOffer?
    /// Whether changes did not go together with its store.
    var needsWhole = false
    /// Bytes of a copy that are in memory only, and when the last of them will be stored.
    var heldSize: UInt64 = 0
    var partsStoredAt: UInt64 = 0
    /// Whether it led, and was not closed cleanly.
    var isReopening = false
    var hasAcceptedLoss = false
    /// Whether its directory was emptied, and began a history of its own.
    var isStranger = false
    /// The epoch of the leader that it follows.
    var following = Epoch.none
    /// The highest epoch that was accepted in this member's whole life.
    var accepted = Epoch.none
    /// When the last message of each link arrives.
    var arrivals: [UInt64]

    init(slot: Int, id: UniqueID, core: MemberCore, memberCount: Int) {
        self.slot = slot
        self.id = id
        self.core = core
        arrivals = Array(repeating: 0, count: memberCount)
    }

    func clock(_ time: UInt64) -> Tick {
        clockStart.tick + (time - clockStart.time) * clockRate / 1_000
    }

    /// The clock jumps ahead, as when a machine was suspended; it never goes back.
    func setClock(ahead: UInt64, rate: UInt64, at time: UInt64) {
        clockStart = (time, clock(time) + ahead)
        clockRate = rate
    }
}
