internal import CEngineSystem
internal import Glibc
internal import StorageEngine

/// Looks up one random key a step, in place.
struct ReadJob: Job {
    private let engine: Engine
    private var keys: KeyMaker

    /// A suffix makes keys that are not there.
    init(_ context: JobContext, suffix: [UInt8] = [], worker: Int) {
        engine = context.engine
        keys = context.keys(worker, suffix: suffix)
    }

    mutating func step() throws(EngineError) -> Step {
        keys.makeRandom()
        return try engine.lookUp(keys.bytes)
    }
}

extension Engine {
    /// Looks up one key, in place.
    func lookUp(_ key: [UInt8]) throws(EngineError) -> Step {
        let size = try withValue(for: key) { value in
            value.sink()
            return value.count
        }
        guard let size else { return Step(operations: 1) }
        return Step(operations: 1, bytes: key.count + size, found: 1)
    }
}

/// Makes a cursor and seeks one random key with it, each step anew, as db_bench does.
struct SeekJob: Job {
    private let engine: Engine
    private var keys: KeyMaker

    init(_ context: JobContext, worker: Int) {
        engine = context.engine
        keys = context.keys(worker)
    }

    mutating func step() throws(EngineError) -> Step {
        keys.makeRandom()
        var cursor = try engine.makeSnapshot().cursor()
        guard try cursor.seek(to: keys.bytes), cursor.key.isEqual(to: keys.bytes.span) else {
            return Step(operations: 1)
        }
        cursor.value.sink()
        return Step(operations: 1, bytes: cursor.key.count + cursor.value.count, found: 1)
    }
}

/// Reads the entries of one snapshot upwards, one a step.
struct ForwardJob: ~Copyable, Job {
    private var cursor: Cursor

    init(_ context: JobContext) throws(EngineError) {
        cursor = try context.engine.makeSnapshot().cursor()
    }

    mutating func step() throws(EngineError) -> Step {
        guard try cursor.next() else { return Step() }
        return cursor.read()
    }
}

/// Reads the entries of one snapshot downwards, one a step.
struct BackwardJob: ~Copyable, Job {
    private var cursor: Cursor
    private var isAtEnd = true

    init(_ context: JobContext) throws(EngineError) {
        cursor = try context.engine.makeSnapshot().cursor()
    }

    mutating func step() throws(EngineError) -> Step {
        let found = isAtEnd ? try cursor.seekToLast() : try cursor.previous()
        isAtEnd = false
        return found ? cursor.read() : Step()
    }
}

extension Cursor {
    /// Reads the entry where the cursor stands.
    borrowing func read() -> Step {
        let keySize = key.count
        let valueSize = value.count
        key.sink()
        value.sink()
        return Step(operations: 1, bytes: keySize + valueSize, found: 1)
    }
}

extension Span where Element == UInt8 {
    /// Keeps the compiler from leaving out what found the bytes.
    fileprivate func sink() {
        unsafe withUnsafeBytes { bytes in unsafe csystem_black_hole(bytes.baseAddress) }
    }

    fileprivate func isEqual(to other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        return unsafe withUnsafeBytes { left in
            unsafe other.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else {
                    return true
                }
                return unsafe memcmp(left, right, count) == 0
            }
        }
    }
}
