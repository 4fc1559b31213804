internal import Glibc

// What the catalogue of faults asks of one failing call, judged from what the engine told: an
// error to the caller, a warning to the operator, or the refusal of all further writes (poison).
//
// 1. A call that is interrupted or does less than asked is done again: nobody hears of it, unless
//    it never ends.
// 2. A read is tried once more: an error that passes is not seen.
// 3. A failed sync of the log poisons. Nothing else but the log does.
// 4. Lack of space is told as that, and leaves no write indeterminate unless the log is broken.
// 5. No error is swallowed, but for those where nothing depends on the call; each has a reason.

struct FaultVerdict {
    private let unit: String?
    private let call: SimulatedCall
    private let kind: ErrorSweep.Kind
    private let isOnce: Bool
    private let surfaced: [String]
    private let hasWarning: Bool
    private let isPoisoned: Bool
    private let wasCutShort: Bool

    init(
        _ run: SimulatedRun,
        _ call: SimulatedCall,
        _ kind: ErrorSweep.Kind,
        _ duration: SimulatedFault.Duration
    ) {
        unit = run.faultUnit
        self.call = call
        self.kind = kind
        isOnce = duration == .once
        surfaced = (run.tally.counts["errors surfaced"] ?? [:]).keys.sorted()
        hasWarning = run.warnings.warnings > 0
        isPoisoned = run.wasPoisoned
        wasCutShort = run.faultWasCutShort
    }

    private var isSilent: Bool { surfaced.isEmpty && !hasWarning && !isPoisoned }
    private var isFull: Bool { kind.errno == ENOSPC || kind.errno == EDQUOT }

    /// What came of the fault, to be counted; throws when that is not what must.
    func text(_ what: String) throws -> String {
        func fail(_ why: String) -> SimulationFailure {
            let told = surfaced + (hasWarning ? ["warning"] : []) + (isPoisoned ? ["poison"] : [])
            return SimulationFailure("\(what), in \(unit ?? "nothing"): \(why); told: \(told)")
        }
        guard let unit else { return "not met" }
        if kind.errno == nil || isOnce && kind.errno == EINTR {
            guard isSilent else { throw fail("a call that was cut short is to be done again") }
            return "tolerated: done again"
        }
        if call == .read, isOnce {
            guard isSilent else { throw fail("a read is to be tried once more") }
            return "tolerated: read once more"
        }
        if unit == "sync", !isPoisoned { throw fail("a failed sync must poison") }
        let mayPoison = [.dataSync, .write, .truncate].contains(call)
        let isOfLog = ["sync", "commit+append", "flush", "rotate", "marker"].contains(unit)
        if isPoisoned, !mayPoison || isOnce && !isOfLog {
            throw fail("only the log may poison")
        }
        let hasSpaceError = surfaced.contains { $0.hasSuffix("noSpace") }
        if hasSpaceError, !isFull { throw fail("the disk is not full") }
        if isFull, !isPoisoned, surfaced.contains("write: indeterminate") {
            throw fail("lack of space leaves nothing indeterminate")
        }
        if !isSilent { return "surfaced" }
        guard let reason = reasonForSilence(unit) else { throw fail("an error was swallowed") }
        return "tolerated: \(reason)"
    }

    /// Why nobody has to hear of an error.
    private func reasonForSilence(_ unit: String) -> String? {
        if wasCutShort { return "the process died before it could tell" }
        switch (unit, call) {
        case (_, .close): return "nothing depends on the file any more"
        case (_, .freeSpace): return "how much is free is asked again a moment later"
        case ("marker", _): return "a marker only proves what is there"
        case ("install", .unlink), ("install", .syncDirectory):
            return "what is left goes with the next manifest"
        case (_, .unlink) where kind.takesEffect: return "there was no such name anyway"
        default: return nil
        }
    }
}
