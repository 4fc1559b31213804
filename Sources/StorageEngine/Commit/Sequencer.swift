/// Gives records their place: sequence, stamp and log hash.
///
/// Thread safety: none; it belongs to whoever holds the commit role.
struct Sequencer {
    /// The last record's sequence, and the log hash with it.
    private(set) var lastSequence: UInt64
    private(set) var logHash: UInt64
    private(set) var lastStamp: UInt64
    /// The epoch table; its last entry is the current epoch, once one has begun.
    private(set) var epochs: [EpochEntry]
    /// Whether this opening has begun its epoch: it does so before its first write.
    private var hasBegun = false
    private let policy: SequencePolicy
    /// The least sequence that may be given next; above the last one's successor where some were
    /// lost.
    private(set) var nextSequence: UInt64

    /// - Parameters:
    ///   - recovered: Where the history ends.
    ///   - originates: Whether an epoch begins with the first write; a follower never begins one of
    ///     its own.
    ///   - policy: How sequences are chosen.
    init(recovered: RecoveredLog, originates: Bool, policy: SequencePolicy = .counter) {
        self.policy = policy
        hasBegun = !originates
        lastSequence = recovered.end.lastSequence
        logHash = recovered.end.logHash
        lastStamp = recovered.lastStamp
        epochs = recovered.epochs
        nextSequence = recovered.end.lastSequence + 1
    }

    var epoch: Epoch { epochs.last?.epoch ?? .none }

    /// The last record's place. An epoch that has none yet does not count.
    var position: Position {
        guard let current = epochs.last, current.lastSequenceBefore == lastSequence else {
            return Position(epoch: epoch, sequence: lastSequence, logHash: logHash)
        }
        return Position(
            epoch: epochs.dropLast().last?.epoch ?? .none,
            sequence: lastSequence,
            logHash: lastSequence > 0 ? current.logHashBefore : nil
        )
    }

    /// Begins an epoch unless this opening has one.
    ///
    /// - Returns: Whether one begins.
    mutating func beginIfNeeded(starter: () -> UInt64) -> Bool {
        guard !hasBegun else { return false }
        hasBegun = true
        begin(Epoch(number: epoch.number + 1, starter: starter()))
        return true
    }

    /// Begins an epoch behind the last record; one that has no record yet is forgotten.
    mutating func begin(_ next: Epoch) {
        forgetEmptyEpoch()
        epochs.append(
            EpochEntry(epoch: next, lastSequenceBefore: lastSequence, logHashBefore: logHash)
        )
        logHash = LogHash.begin(next, after: logHash)
    }

    /// Whether the current epoch has no record yet.
    var isEpochEmpty: Bool { epochs.last?.lastSequenceBefore == lastSequence }

    /// The epoch table without an epoch that has no record.
    var epochsWithRecords: [EpochEntry] { isEpochEmpty ? epochs.dropLast() : epochs }

    /// Forgets the current epoch, which has no record yet.
    mutating func forgetEmptyEpoch() {
        guard isEpochEmpty, let current = epochs.popLast() else { return }
        logHash = current.logHashBefore
    }

    /// Takes in a record that a leader has sequenced, which follows the last one.
    mutating func accept(_ record: GivenRecord) {
        precondition(record.head.previousSequence == lastSequence, "a record in its place")
        logHash = record.hash
        lastSequence = record.head.sequence
        nextSequence = lastSequence + 1
        lastStamp = max(lastStamp, record.head.stamp)
    }

    /// Why a write may not have the sequence that its caller wants, or has none; `nil` when it may.
    func refusal(of wanted: UInt64?, _ kind: RecordKind) -> EngineError? {
        guard policy == .client else {
            return wanted.map { _ in
                .invalidArgument("only a store of its clients' sequences takes any")
            }
        }
        guard let wanted else {
            return kind == .noOp ? nil : .invalidArgument("the write needs its client's sequence")
        }
        guard wanted >= nextSequence, wanted <= ManifestFormat.numberMax else {
            return EngineError(
                .invalidArgument,
                "the sequence \(wanted) is not above the last one, \(lastSequence)",
                sequence: lastSequence
            )
        }
        return nil
    }

    /// Sequences one record and returns its head; ``logHash`` is then the hash with it. A wanted
    /// sequence must not be refused.
    mutating func next(
        _ kind: RecordKind = .data,
        wanted: UInt64? = nil,
        digest: UInt64,
        wallMilliseconds: UInt64
    ) -> RecordHead {
        let stamp = max(wallMilliseconds << 16, lastStamp + 1)
        switch policy {
        case .counter: break
        case .clock: nextSequence = max(nextSequence, stamp)
        case .client: nextSequence = wanted ?? nextSequence
        }
        let head = RecordHead(
            kind: kind,
            sequence: nextSequence,
            previousSequence: lastSequence,
            stamp: stamp
        )
        logHash = LogHash.next(logHash, head, digest: digest)
        lastSequence = nextSequence
        nextSequence += 1
        lastStamp = stamp
        return head
    }

    /// Goes back to an earlier state of this sequencer; `skipping` when the sequences given since
    /// may be on disk, and must not be given again.
    mutating func restore(_ earlier: Sequencer, skipping: Bool) {
        let next = nextSequence
        self = earlier
        if skipping { nextSequence = next }
    }
}

/// A record with the place that its leader gave it.
struct GivenRecord: Sendable {
    let head: RecordHead
    /// The log hash with the record.
    let hash: UInt64
}
