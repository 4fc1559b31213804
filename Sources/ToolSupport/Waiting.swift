internal import StorageEngine

/// Runs asynchronous work from the main thread, and waits for it.
package func waiting<Value: Sendable>(
    _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
    let outcome = Outcome<Value>()
    Task {
        do {
            outcome.set(.success(try await body()))
        } catch {
            outcome.set(.failure(error))
        }
    }
    return try outcome.wait().get()
}

/// Thread safety: every method may be called from any thread.
private final class Outcome<Value: Sendable>: @unchecked Sendable {
    private let lock = Lock()
    private let isThere = Condition()
    private var result: Result<Value, any Error>?

    func set(_ result: Result<Value, any Error>) {
        lock.with { self.result = result }
        isThere.broadcast()
    }

    func wait() -> Result<Value, any Error> {
        lock.with {
            while true {
                if let result { return result }
                isThere.wait(lock)
            }
        }
    }
}
