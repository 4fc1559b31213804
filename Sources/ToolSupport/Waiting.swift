internal import Glibc
internal import StorageEngine
internal import ToolSupport

/// Runs asynchronous work from the main thread, and waits for it.
func waiting<Value: Sendable>(
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

/// Files that hold a line.
enum SmallFile {
    private static let sizeMax = 65_536

    static func text(of path: String) throws -> String {
        guard let file = unsafe fopen(path, "r") else {
            throw ToolError.system("opening \(path)", errno: errno)
        }
        defer { unsafe fclose(file) }
        var bytes = [UInt8](repeating: 0, count: sizeMax)
        let count = unsafe fread(&bytes, 1, bytes.count, file)
        guard unsafe ferror(file) == 0 else {
            throw ToolError.system("reading \(path)", errno: errno)
        }
        guard let text = String(validating: bytes.prefix(count), as: UTF8.self) else {
            throw ToolError("reading \(path): it is not UTF-8")
        }
        return text
    }
}
