// Which log files may go. A pure function: files, slots and limits in, a decision out.
//
// (1) What recovery needs stays; only finished files up to an obsolete one are looked at.
// (2) Of those the newest stay, within a size and an age, for consumers without a slot.
// (3) A slot keeps every file from its position on, as long as these are within its own limits and,
//     together with those of all others, within a limit for all. A slot that is not is lost; of
//     several the one that is farthest behind.
// (4) Slots count with the position that is on disk: after a crash they are asked for it.

/// How much of the log is kept for consumers, beyond what recovery needs.
struct LogRetention: Sendable {
    /// Bytes and age, in milliseconds, that are kept although no slot asks.
    var size: UInt64
    var age: UInt64
    /// Bytes that all slots together may keep.
    var slotsSize: UInt64

    /// What a decision needs to know of a file.
    struct File {
        let number: UInt64
        let size: UInt64
        /// The last sequence in it, and when that was written, in milliseconds since 1970.
        let lastSequence: UInt64
        let time: UInt64
    }

    struct Decision: Equatable {
        /// Files up to this number may go; 0 for none.
        var removable: UInt64 = 0
        /// The names of slots that ask for too much.
        var lost: [String] = []
    }

    /// Decides about files that recovery does not need, the oldest first.
    func decision(_ files: [File], _ slots: [Slot], now: UInt64) -> Decision {
        var decision = Decision()
        var waiting = slots.filter { !$0.isLost && needed(by: $0, of: files) > 0 }
            .sorted { $0.position.sequence < $1.position.sequence }
        while let slot = waiting.first, isTooMuch(slot, files, now: now) {
            decision.lost.append(slot.name)
            waiting.removeFirst()
        }
        // Those with narrower limits may be lost although one behind them is not.
        let narrow = waiting.filter { exceedsOwnLimits($0, files, now: now) }
        decision.lost += narrow.map(\.name)
        waiting.removeAll { slot in narrow.contains { $0.name == slot.name } }
        let bySlots = waiting.map { needed(by: $0, of: files) }.max() ?? 0
        let kept = max(bySlots, window(of: files, now: now))
        decision.removable = files.dropLast(kept).last?.number ?? 0
        return decision
    }

    /// How many of the newest files a slot needs.
    private func needed(by slot: Slot, of files: [File]) -> Int {
        files.count - files.prefix { $0.lastSequence <= slot.position.sequence }.count
    }

    private func isTooMuch(_ slot: Slot, _ files: [File], now: UInt64) -> Bool {
        let size = files.suffix(needed(by: slot, of: files)).reduce(0) { $0 + $1.size }
        return size > slotsSize || exceedsOwnLimits(slot, files, now: now)
    }

    private func exceedsOwnLimits(_ slot: Slot, _ files: [File], now: UInt64) -> Bool {
        let kept = files.suffix(needed(by: slot, of: files))
        let size = kept.reduce(0) { $0 + $1.size }
        guard let oldest = kept.first else { return false }
        return size > slot.limits.size || isOld(oldest, slot.limits.age.milliseconds, now: now)
    }

    /// How many of the newest files stay in any case.
    private func window(of files: [File], now: UInt64) -> Int {
        var rest = size
        return files.reversed().prefix { file in
            guard file.size <= rest, !isOld(file, age, now: now) else { return false }
            rest -= file.size
            return true
        }.count
    }

    /// Whether the last record of a file is older than an age. A clock that was set back makes
    /// nothing old.
    private func isOld(_ file: File, _ age: UInt64, now: UInt64) -> Bool {
        now > file.time && now - file.time > age
    }
}
