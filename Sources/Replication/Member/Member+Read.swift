public import StorageEngine

/// Reads from a member that perhaps follows.
extension Member {
    /// A view of the store that has everything up to a position: whoever wrote there, by whichever
    /// member, reads what it wrote. Suspends until the position is here.
    ///
    /// - Parameters:
    ///   - position: From a receipt, or from another member.
    ///   - timeout: How long to wait for it.
    /// - Returns: A snapshot of the store.
    /// - Throws: ``ReplicationError``: `notReached` when it did not come in time; `store` with code
    ///   `diverged` when the history went another way there, so that it never will; or when the
    ///   member is closed or its store cannot be read. `CancellationError`.
    public func read(
        after position: Position,
        timeout: Duration = .seconds(5)
    ) async throws -> Snapshot {
        let deadline = now + timeout.ticks
        while true {
            try Task.checkCancellation()
            if let snapshot = try reached(position) { return snapshot }
            guard now < deadline else { throw ReplicationError.notReached(position) }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// A snapshot that has a position, once it is here.
    private func reached(_ position: Position) throws(ReplicationError) -> Snapshot? {
        let (isOpen, engine) = lock.with { (state.phase == .open, state.engine) }
        guard isOpen else { throw .store(.closed) }
        guard let engine else { return nil }
        do throws(EngineError) {
            let snapshot = try engine.makeSnapshot()
            guard snapshot.sequence >= position.sequence else { return nil }
            guard position.sequence > 0, position.epoch.number > 0 else { return snapshot }
            let (epochs, end) = try engine.history()
            switch LogOutline(epochs, end).holds(position) {
            case .yes: return snapshot
            case .notYet: return nil
            case .never:
                throw EngineError(
                    .diverged,
                    "reading after \(position.sequence): the history went another way",
                    sequence: position.sequence
                )
            }
        } catch {
            // Another store is about to take this one's place.
            if error.code == .closed { return nil }
            throw .store(error)
        }
    }
}

extension LogOutline {
    enum Holding { case yes, notYet, never }

    /// Whether a place is in this log, by its epoch table.
    func holds(_ position: Position) -> Holding {
        guard let index = table.firstIndex(where: { $0.epoch == position.epoch }) else {
            // A log that is about to be cut back has lower epochs there.
            let last = table.last?.epoch.number ?? 0
            return last < position.epoch.number ? .notYet : .never
        }
        guard position.sequence > table[index].lastSequenceBefore else { return .never }
        return position.sequence <= end(ofEntry: index).sequence
            ? .yes : index + 1 == table.count ? .notYet : .never
    }

    /// Whether another log goes on behind the end of this one.
    func isBeginning(of other: LogOutline) -> Bool {
        guard !table.isEmpty else { return true }
        let shared = zip(table, other.table).prefix { $0 == $1 }.count
        guard shared == table.count else { return false }
        return tail.sequence <= other.end(ofEntry: shared - 1).sequence
    }
}
