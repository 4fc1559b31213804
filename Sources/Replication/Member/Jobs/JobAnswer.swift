internal import StorageEngine

/// What comes of a job, for whoever waits for it.
///
/// Thread safety: every method may be called from any thread; `settle` once.
final class JobAnswer<Value: Sendable>: @unchecked Sendable {
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var result: Result<Value, EngineError>?

    func settle(_ result: Result<Value, EngineError>) {
        lock.with {
            self.result = result
            condition.signal()
        }
    }

    /// Waits for the answer; `closed` when the job is never done, as the closure says.
    func wait(unless isOver: () -> Bool) throws(EngineError) -> Value {
        while true {
            let result = lock.with {
                if self.result == nil {
                    let time = SystemTime().monotonicNanoseconds
                    condition.wait(lock, until: time + 50_000_000)
                }
                return self.result
            }
            if let result { return try result.get() }
            if isOver() { throw .closed }
        }
    }
}
