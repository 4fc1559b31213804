internal import StorageEngine

// How a copy that came becomes the store, as a job of the store.

extension Member {
    /// Puts a copy that came whole in the store's place, or the store with what has changed since:
    /// MEMBER names it from then on.
    func adopt(_ offer: CopyOffer, _ generation: UInt64, _ life: UInt64) {
        let (history, incoming) = lock.with { (state.core.mark.history, state.incoming) }
        guard let history else { preconditionFailure("a copy without a history") }
        guard lock.with({ life == state.life }) else { return }
        let storeID: UniqueID
        do throws(EngineError) {
            storeID = try incoming.finish(offer, history: history)
        } catch {
            incoming.discard()
            return lock.with { life == state.life ? restart(for: error) : () }
        }
        do throws(EngineError) {
            let number = lock.with { state.record.storeNumber }
            let old = takeEngine(life)
            let next =
                switch offer.kind {
                case .base:
                    try replace(old, number, by: offer, storeID, incoming)
                case .delta:
                    try combine(old, number, with: offer)
                }
            copyJobs.submit { [self] in copies.removeAll() }
            try name(next)
            try open(offer, generation, life)
            // What is left of them goes with the next opening.
            do throws(EngineError) {
                for replaced in number..<next.number {
                    try directory.removeTree(MemberDirectory.store(replaced))
                }
            } catch {
                broadcast.send(.storeFailed(error))
            }
        } catch {
            // Which store is the member's, MEMBER says.
            lock.with {
                if offer.kind == .delta, Self.isForGood(error) { state.needsWholeCopy = true }
                if life == state.life { restart(for: error) }
            }
        }
    }

    /// Whether the same changes would not go together with the store the next time, either.
    private static func isForGood(_ error: EngineError) -> Bool {
        switch error.code {
        case .noSpace, .stalled, .closed: false
        default: true
        }
    }

    private struct NextStore: Sendable {
        let number: UInt64
        let storeID: UniqueID
    }

    /// Closes the store that the copy replaces. When the copy does not have all of its records,
    /// they are kept.
    private func replace(
        _ old: Engine?,
        _ number: UInt64,
        by offer: CopyOffer,
        _ storeID: UniqueID,
        _ incoming: IncomingCopy
    ) throws(EngineError) -> NextStore {
        let isLost = try old.map { engine throws(EngineError) in
            let (epochs, end) = try engine.history()
            try engine.closeWithoutFlush()
            return !LogOutline(epochs, end).isBeginning(of: offer.log)
        }
        if isLost ?? false { try incoming.saveLog(of: MemberDirectory.store(number)) }
        return NextStore(number: number + 1, storeID: storeID)
    }

    /// Makes a store of the present one and of the changes that came, under the number behind
    /// theirs. The present one stays as it is.
    private func combine(
        _ old: Engine?,
        _ number: UInt64,
        with offer: CopyOffer
    ) throws(EngineError) -> NextStore {
        guard let old else { throw .closed }
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

    /// Opens the store that MEMBER names now, and checks that it is what was offered.
    private func open(
        _ offer: CopyOffer,
        _ generation: UInt64,
        _ life: UInt64
    ) throws(EngineError) {
        let opened = try openStore()
        let (epochs, end) = try opened.history()
        guard LogOutline(epochs, end) == offer.log else {
            throw EngineError(.diverged, "adopting a copy: it ends elsewhere than it said")
        }
        lock.with {
            guard life == state.life else { return }
            state.needsWholeCopy = false
            put(opened, generation)
            give(.copyAdopted(generation: generation))
        }
    }
}
