internal import Synchronization

/// Gives segments their numbers.
///
/// Thread safety: every method may be called from any thread.
final class SegmentNumbers: Sendable {
    private let counter: Atomic<UInt64>

    init(next: UInt64) { counter = Atomic(next) }

    /// Above every number that was given.
    var next: UInt64 { counter.load(ordering: .relaxed) }

    func take() -> UInt64 { counter.wrappingAdd(1, ordering: .relaxed).oldValue }
}

extension SegmentOutput {
    /// Writes segments without a cache.
    init(
        to directory: StoreDirectory,
        historyID: UniqueID,
        numbers: SegmentNumbers,
        segmentSize: UInt64?,
        pace: @escaping @Sendable (Int) throws(EngineError) -> Void = { _ throws(EngineError) in }
    ) {
        self.init(
            directory: directory,
            historyID: historyID,
            cache: nil,
            cut: segmentSize.map { SegmentCut(size: $0) },
            nextNumber: { numbers.take() },
            pace: pace
        )
    }
}
