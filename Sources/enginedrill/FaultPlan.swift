/// What befalls a node.
enum Fault: String, CaseIterable, Sendable {
    /// SIGKILL, and a new start.
    case kill
    /// The same, and its directory is gone.
    case empty
    /// SIGSTOP, and SIGCONT.
    case pause
    /// Its links are ended.
    case cut
    /// Nothing comes through its links, and nobody is told.
    case silence
}

/// What is to happen in one round, drawn from a seed.
struct FaultPlan: Sendable {
    let fault: Fault
    /// Whether the leader is meant, or the follower of this rank.
    let meetsLeader: Bool
    let rank: Int
    /// Whether another one is promoted when it meets the leader.
    let promotes: Bool
    /// In milliseconds: before the fault, from it to the promotion, and how long it lasts.
    let before, reaction, length: Int

    init(_ faults: [Fault], members: Int, _ numbers: inout DrillNumbers) {
        fault = faults[numbers.next(below: faults.count)]
        meetsLeader = numbers.next(below: 2) == 0
        rank = numbers.next(below: members - 1)
        // Who lost what it had does not lead on.
        promotes = numbers.next(below: 4) > 0 || fault == .empty
        before = 50 + numbers.next(below: 400)
        reaction = numbers.next(below: 200)
        length = 50 + numbers.next(below: 900)
    }
}

/// Numbers that follow from a seed.
///
/// Thread safety: none; a value.
struct DrillNumbers: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// A number from 0.
    mutating func next(below bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
        return Int((bits ^ bits >> 31) % UInt64(bound))
    }
}
