/// Hands elements to those who listen. A listener that does not keep up loses the oldest ones.
///
/// Thread safety: every method may be called from any thread.
package final class Broadcast<Element: Sendable>: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var listeners: [UInt64: AsyncStream<Element>.Continuation] = [:]
    private var nextListener: UInt64 = 0
    private var isFinished = false

    /// How many elements wait for a listener at most.
    private static var bufferCount: Int { 1_000 }

    package init() {}

    /// The elements from now on, until the end.
    package func listen() -> AsyncStream<Element> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: Element.self,
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
    package func send(_ element: Element) {
        for listener in lock.with({ Array(listeners.values) }) { listener.yield(element) }
    }

    /// Ends all streams.
    package func finish() {
        let current = lock.with {
            isFinished = true
            defer { listeners = [:] }
            return Array(listeners.values)
        }
        for listener in current { listener.finish() }
    }
}
