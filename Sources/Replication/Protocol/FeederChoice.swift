import StorageEngine

/// Whom a member greets next.
///
/// First whoever is said to lead; then those that are preferred, in their order, so that chains and
/// rings stand as they were meant to; and any voter when none of these has fed the member for
/// ``Settings/preferenceTime``, so that one that is broken does not stay so.
///
/// Thread safety: none; a value.
struct FeederChoice: Sendable {
    private let preferences: [UniqueID]
    /// Who leads, as somebody said.
    var hint: UniqueID?
    private var count = 0
    /// Since when nobody has fed the member, once it has looked for somebody.
    private var hungrySince: Tick?

    init(preferences: [UniqueID]) { self.preferences = preferences }

    /// Somebody fed the member, or nobody was to: the time begins anew.
    mutating func forgetHunger() { hungrySince = nil }

    mutating func next(_ ground: Ground) -> UniqueID? {
        if let hint = hint.take(), hint != ground.id { return hint }
        let since = hungrySince ?? ground.now
        hungrySince = since
        let isPatient = ground.now - since <= ground.settings.preferenceTime
        let peers = isPatient ? preferences : preferences + others(ground)
        guard !peers.isEmpty else { return nil }
        defer { count += 1 }
        return peers[count % peers.count]
    }

    /// Voters that are not preferred.
    private func others(_ ground: Ground) -> [UniqueID] {
        ground.membership.voters.filter { $0 != ground.id && !preferences.contains($0) }
    }
}
