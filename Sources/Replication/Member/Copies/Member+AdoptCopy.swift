internal import StorageEngine

// How a copy that came becomes the store, as a job of the store.
//
//  1. The copy is checked as a whole, put together with the store if it is a delta, and compared
//     with what was offered: all that beside the store, which stays as it is.
//  2. MEMBER names the next store. A crash before that leaves the old store and the whole copy, one
//     behind it the next store.
//  3. What says that the directory is a copy goes last, and with the next opening if that fails.
//  4. A disk that fails keeps nobody from trying again with the same copy, a few times. A copy that
//     is not what was offered is thrown away. So are changes that do not go with the store: then
//     only the whole state will do.

extension Member {
    /// Puts a copy that came whole in the store's place, or the store with what has changed since.
    func adopt(_ offer: CopyOffer, _ generation: UInt64, _ life: UInt64) {
        let (history, incoming, number) = lock.with {
            (state.core.mark.history, state.incoming, state.record.storeNumber)
        }
        guard let history else { preconditionFailure("a copy without a history") }
        guard lock.with({ life == state.life }) else { return }
        let next: NextStore
        var isWhole = false
        do throws(EngineError) {
            let storeID = try incoming.finish(offer, history: history) {
                lock.with { state.phase == .open }
            }
            isWhole = true
            // Without one the member began anew meanwhile.
            guard let old = takeEngine(life) else { throw .closed }
            switch offer.kind {
            case .base: next = try replace(old, number, by: offer, storeID, incoming)
            case .delta: next = try combine(old, number, with: offer)
            }
            try check(next, offer)
        } catch {
            return giveUp(offer, isWhole: isWhole, incoming, error, life)
        }
        do throws(EngineError) {
            copyJobs.submit { [self] in copies.removeAll() }
            try name(next)
            try incoming.settle()
            try open(generation, life)
        } catch {
            // Which store is the member's, MEMBER says.
            return lock.with { life == state.life ? restart(for: error) : () }
        }
        // What is left of them goes with the next opening.
        do throws(EngineError) {
            for replaced in number..<next.number {
                try directory.removeTree(MemberDirectory.store(replaced))
            }
        } catch {
            broadcast.send(.storeFailed(error))
        }
    }

    /// Opens the store again after a copy that was not adopted. When it might be the next time it
    /// is kept.
    private func giveUp(
        _ offer: CopyOffer,
        isWhole: Bool,
        _ incoming: IncomingCopy,
        _ error: EngineError,
        _ life: UInt64
    ) {
        let isKept = lock.with { state.adoptions.mayGoOn(offer, after: error) }
        if !isKept { incoming.discard() }
        // The disk gets a moment.
        guard !isKept || pause(milliseconds: 100) else { return }
        lock.with {
            if !isKept, isWhole, offer.kind == .delta { state.needsWholeCopy = true }
            if life == state.life { restart(for: error) }
        }
    }

    private struct NextStore: Sendable {
        let number: UInt64
        let storeID: UniqueID
    }

    /// Closes the store that the copy replaces. When the copy does not have all of its records,
    /// they are kept.
    private func replace(
        _ old: Engine,
        _ number: UInt64,
        by offer: CopyOffer,
        _ storeID: UniqueID,
        _ incoming: IncomingCopy
    ) throws(EngineError) -> NextStore {
        // Whatever happens, it is not in use any more.
        defer { old.abandon() }
        let (epochs, end) = try old.history()
        try old.closeWithoutFlush()
        if !LogOutline(epochs, end).isBeginning(of: offer.log) {
            try incoming.saveLog(of: MemberDirectory.store(number))
        }
        return NextStore(number: number + 1, storeID: storeID)
    }

    /// Makes a store of the present one and of the changes that came, under the number behind
    /// theirs. The present one stays as it is.
    private func combine(
        _ old: Engine,
        _ number: UInt64,
        with offer: CopyOffer
    ) throws(EngineError) -> NextStore {
        do throws(EngineError) {
            let (epochs, end) = try old.history()
            guard LogOutline(epochs, end).isBeginning(of: offer.log) else {
                throw EngineError(.diverged, "adopting changes: the log went another way")
            }
            let storeID = try old.combine(
                with: "\(directory.path)/\(MemberDirectory.store(number + 1))",
                at: "\(directory.path)/\(MemberDirectory.store(number + 2))"
            )
            try old.closeWithoutFlush()
            return NextStore(number: number + 2, storeID: storeID)
        } catch {
            old.abandon()
            throw error
        }
    }

    /// Refuses a store that is not what was offered; nothing in it is changed.
    private func check(_ next: NextStore, _ offer: CopyOffer) throws(EngineError) {
        let (epochs, end) = try Engine.history(
            at: "\(directory.path)/\(MemberDirectory.store(next.number))",
            options: options.engine,
            environment: environment
        )
        guard LogOutline(epochs, end) == offer.log else {
            throw EngineError(.diverged, "adopting a copy: it ends elsewhere than it said")
        }
    }

    /// Has MEMBER name another store.
    private func name(_ next: NextStore) throws(EngineError) {
        try update { record in
            record.storeNumber = next.number
            record.storeID = next.storeID
        }
        lock.with {
            state.incoming = IncomingCopy(directory: directory, number: next.number + 1)
        }
    }

    /// Opens the store that MEMBER names now.
    private func open(_ generation: UInt64, _ life: UInt64) throws(EngineError) {
        let opened = try openStore()
        lock.with {
            guard life == state.life else { return }
            state.needsWholeCopy = false
            put(opened, generation)
            give(.copyAdopted(generation: generation))
        }
    }
}

/// How often one copy could not be adopted.
///
/// Thread safety: none; a value.
struct Adoptions: Sendable {
    private var copy: UInt64?
    private var count = 0

    private static let countMax = 5

    /// Whether a copy may be adopted the next time. A disk may fail for a moment; a place of it
    /// that stays unreadable is written anew with the next copy.
    mutating func mayGoOn(_ offer: CopyOffer, after error: EngineError) -> Bool {
        if copy != offer.id { (copy, count) = (offer.id, 0) }
        switch error.code {
        case .noSpace, .stalled, .closed: return true
        case .io:
            count += 1
            return count < Self.countMax
        default: return false
        }
    }
}
