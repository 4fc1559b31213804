import Logging
import StorageEngineTestSupport

@testable import StorageEngine

/// Opens the store `db` on a simulated disk, with tiny log files and no threads.
func openSimulated(
    _ fileSystem: SimulatedFileSystem,
    clock: SimulatedClock = SimulatedClock(),
    _ adjust: (inout Engine.Options) -> Void = { _ in }
) throws(EngineError) -> Engine {
    var options = Engine.Options()
    options.logFileSize = 16_384
    options.logger = .silent
    adjust(&options)
    let seed = SeededGenerator(seed: 1)
    return try Engine.open(
        at: "db",
        options: options,
        environment: Environment(
            fileSystem: fileSystem,
            time: clock,
            entropy: {
                var generator = seed
                return generator.next()
            },
            startsThreads: false
        )
    )
}

extension Logger {
    /// Says nothing.
    static var silent: Logger { Logger(label: "test") { _ in SwiftLogNoOpLogHandler() } }
}

extension EngineStepper {
    /// Puts one key, and works until that is settled.
    func put(_ value: String, for key: String, ack: AckPoint) throws -> Outcome {
        var batch = WriteBatch()
        try batch.put(value, for: key)
        return try complete(submit(batch, ack: ack))
    }

    /// Works until a write is settled.
    func complete(_ write: Write) throws -> Outcome {
        for _ in 0..<1000 {
            if let outcome = outcome(of: write) { return outcome }
            work()
        }
        throw SimulationFailure("the write is never settled")
    }

    /// Does what each actor finds to do, once.
    func work() {
        for actor in Actor.allCases {
            guard let unit = take(actor) else { continue }
            perform(unit)
            finish(unit)
        }
    }
}

extension EngineStepper.Outcome {
    /// The code of the failure, `nil` when the write was acknowledged.
    var code: EngineError.Code? {
        if case .failed(let error) = self { error.code } else { nil }
    }
}

/// All keys and values, as text.
func contents(_ engine: Engine) throws -> [String: String] {
    var found: [String: String] = [:]
    var cursor = try engine.makeSnapshot().cursor()
    while try cursor.next() {
        let key = cursor.key.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
        found[key] = cursor.value.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
    return found
}

/// The code of the error that a closure throws; `nil` when it throws none.
func code(of body: () throws -> Void) -> EngineError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? EngineError)?.code
    }
}
