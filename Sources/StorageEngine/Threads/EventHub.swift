/// Something that happened in an engine, for operators and their tools.
@nonexhaustive
public enum Event: Sendable, Hashable {
    /// An index became a segment of level 0 of so many bytes; segments hold everything up to the
    /// sequence now.
    case flushed(bytes: UInt64, sequence: UInt64)
    /// Segments of a level were merged into the next; bytes read and written.
    case compacted(level: Int, readBytes: UInt64, writtenBytes: UInt64)
    /// Writers are slowed or held from now on, and why.
    case stallBegan(StallReason)
    /// Writers are neither slowed nor held any more.
    case stallEnded
    /// A sync of the log took this long, in nanoseconds.
    case slowSync(nanoseconds: UInt64)
    /// A sync of the log has been running this long, in nanoseconds, and has not come back.
    case syncHangs(nanoseconds: UInt64)
    /// Less is free on the file system than must be: writes are refused from now on.
    case lowSpace(freeBytes: UInt64)
    /// Enough is free again: writes are accepted from now on.
    case lowSpaceEnded(freeBytes: UInt64)
    /// The disk is full: a flush, a compaction or a change of the manifest was put off.
    case noSpace(EngineError)
    /// Bytes on disk are not what was written; found by a flush, a compaction or the manifest.
    case corruption(EngineError)
    /// A flush, a compaction or a change of the manifest failed otherwise, and is tried again.
    case maintenanceFailed(EngineError)
    /// The log failed; writes are refused until the store is reopened.
    case poisoned(EngineError)
    /// The log was cut back behind what a slot had acknowledged: its consumer has missed writes.
    case slotLost(name: String, position: Position)
    /// The first write since the store was opened began an epoch.
    case epochBegan(Epoch)
}

/// Why writers are slowed or held.
@nonexhaustive
public enum StallReason: String, Sendable, Hashable, CaseIterable {
    /// The memory index fills faster than it is flushed.
    case flush
    /// Level 0 gets segments faster than they are compacted.
    case level0
    /// Levels hold more than they should, and compactions are behind.
    case compaction
    /// Little space is left on the file system.
    case space
}

/// Hands events to those who listen. A listener that does not keep up loses the oldest ones.
///
/// Thread safety: every method may be called from any thread.
final class EventHub: @unchecked Sendable {
    private let lock = Lock()

    // The lock.
    private var listeners: [UInt64: AsyncStream<Event>.Continuation] = [:]
    private var nextListener: UInt64 = 0
    private var isFinished = false

    /// How many events wait for a listener at most.
    private static let bufferCount = 1000

    /// The events from now on; the stream ends with the engine.
    func listen() -> AsyncStream<Event> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Event.self,
            bufferingPolicy: .bufferingNewest(Self.bufferCount)
        )
        let number: UInt64? = lock.with {
            guard !isFinished else { return nil }
            nextListener += 1
            listeners[nextListener] = continuation
            return nextListener
        }
        guard let number else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in self?.remove(number) }
        return stream
    }

    private func remove(_ number: UInt64) {
        // Freed without the lock: the end of a continuation calls back.
        let removed = lock.with { listeners.removeValue(forKey: number) }
        _ = removed
    }

    /// Tells everybody. Never waits for a listener.
    func emit(_ event: Event) {
        let current = lock.with { Array(listeners.values) }
        for listener in current { listener.yield(event) }
    }

    /// Ends all streams.
    func finish() {
        let current = lock.with {
            isFinished = true
            let current = Array(listeners.values)
            listeners = [:]
            return current
        }
        for listener in current { listener.finish() }
    }
}
