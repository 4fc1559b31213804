/// What a run did, and how often what must happen sometimes did.
package struct ReplicationCounts: Sendable {
    package private(set) var values: [Name: Int] = [:]

    package enum Name: String, CaseIterable, Sendable {
        case operations, acked, indeterminate, degradedAcks, reads, localAcks
        case events, messages, lost, replayed
        case faults, kills, powerCuts, cleanRestarts, pauses, partitions, isolations, clogs
        case slowDisks, clockJumps, reformats, restores, strangers, trims
        case leaderships, promotions, reopenings, uncleanReopenings, adoptions, stepDowns
        case failedPromotions, lossAccepted, suspects, suspectsCleared
        case cuts, cutRecords, impossibleCuts, copies, deltas, resumedCopies, relays, gaps,
            pacedReads, heldParts, failedDeltas
        case lateCompletions, fencedLeaders, refusedBehind, refusedLoop, wrongHistory
        case degradations, restorations, voided, protected, horizons
        case linearizableKeys, unjudgedRuns, simulatedSeconds
    }

    /// What is counted in no seed shows that the simulation does not get there.
    package var never: [Name] { Name.allCases.filter { self[$0] == 0 } }

    package init() {}

    package subscript(name: Name) -> Int {
        get { values[name] ?? 0 }
        set { values[name] = newValue }
    }

    package static func += (left: inout ReplicationCounts, right: ReplicationCounts) {
        for name in Name.allCases where right[name] > 0 { left[name] += right[name] }
    }
}
