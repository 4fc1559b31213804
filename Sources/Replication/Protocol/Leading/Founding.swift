import StorageEngine

/// Asks the other voters whether one of them has a history, before a member begins another.
///
/// Whoever has one refuses a question about any other, whether it is fed or not: so what nobody
/// leads at the moment is found as well. A voter that was emptied begins no second history as long
/// as one of the others can be reached.
///
/// Thread safety: none; a value.
struct Founding: Sendable {
    /// What comes of a step.
    enum Step: Hashable, Sendable {
        case waiting
        /// Nobody has a history, of those that answered in time.
        case begin
        /// A voter has one, or is about to begin it.
        case taken(by: UniqueID)
    }

    /// Names what is to begin.
    let history: UniqueID
    private let nonce: UInt64
    private let end: Tick
    private var lastAsked: Tick = 0
    /// Voters that have no history.
    private var vacant: [UniqueID] = []

    /// Asks, and waits for answers that long.
    init(history: UniqueID, patience: Tick, _ ground: inout Ground) {
        self.history = history
        nonce = ground.nextRandom()
        end = ground.now + patience
        ask(&ground)
    }

    /// The voters that have not answered.
    func missing(_ ground: Ground) -> [UniqueID] {
        ground.membership.voters.filter { $0 != ground.id && !vacant.contains($0) }
    }

    private mutating func ask(_ ground: inout Ground) {
        lastAsked = ground.now
        let consult = Consult(history: history, nonce: nonce, epoch: nil)
        for voter in missing(ground) { ground.send(.consult(consult), to: voter) }
    }

    mutating func tick(_ ground: inout Ground) -> Step {
        guard ground.now < end, !missing(ground).isEmpty else { return .begin }
        if ground.now - lastAsked >= ground.settings.consultInterval { ask(&ground) }
        return .waiting
    }

    mutating func answered(_ answer: Answer, from voter: UniqueID, _ ground: Ground) -> Step {
        guard answer.nonce == nonce, missing(ground).contains(voter) else { return .waiting }
        guard answer.promised == .none, answer.tail == .zero else { return .taken(by: voter) }
        vacant.append(voter)
        return missing(ground).isEmpty ? .begin : .waiting
    }

    func refused(_ refusal: Refusal, from voter: UniqueID, _ ground: Ground) -> Step {
        guard refusal.about == nonce, refusal.reason == .wrongStore,
            ground.membership.isVoter(voter)
        else { return .waiting }
        return .taken(by: voter)
    }
}
