internal import Logging
package import StorageEngine

/// A small closed store on a simulated disk, with everything that a store can consist of: several
/// log files with records that are in no segment, segments on several levels, a manifest of several
/// edits, range deletes, and older versions that a snapshot kept.
package final class SampleStore {
    package static let directory = "db"

    package let fileSystem = SimulatedFileSystem()
    /// The files and their sizes.
    package private(set) var files: [(name: String, size: UInt64)] = []
    /// What is in the store.
    package private(set) var contents: [[UInt8]: [UInt8]] = [:]
    /// What was in it after each write.
    package private(set) var history: [[[UInt8]: [UInt8]]] = []
    /// Every key that was ever written.
    package private(set) var keys: Set<[UInt8]> = []
    /// The segments of each level.
    package private(set) var levels: [Int] = []

    private let clock = SimulatedClock()
    private var generator = SeededGenerator(seed: 11)

    package init() throws {
        for round in 0..<2 { try writeTree(round) }
        for round in 0..<3 {
            try run { _, stepper in
                for number in 0..<4 {
                    try self.put([20 * round + 3 * number], length: 20, stepper)
                }
                try self.delete(95 - round, stepper)
                try self.deleteRange(70 + 4 * round..<72 + 4 * round, stepper)
            }
        }
        try note()
    }

    /// Flushes and compacts several times; a snapshot keeps older versions.
    private func writeTree(_ round: Int) throws {
        try run { engine, stepper in
            var snapshots: [Snapshot] = []
            for step in 0..<44 {
                let first = step * 31 % 90
                try self.put(Array(first..<first + 10), length: 100, stepper)
                if step % 12 == 5 { snapshots.append(try engine.makeSnapshot()) }
                if step % 12 == 11 { try self.deleteRange(first + 2..<first + 5, stepper) }
                if step % 9 == 8 { try self.delete(first + 1, stepper) }
            }
            for _ in 0..<20 {
                Self.work(stepper)
                self.clock.advance(by: 10_000_000)
            }
            self.levels = engine.metrics.levelSegments
            _ = snapshots
        }
    }

    private static func bytes(ofKey number: Int) -> [UInt8] {
        Array(("key" + String(1000 + number)).utf8)
    }

    // MARK: - Writes

    /// Puts values that nothing compresses, as one batch.
    private func put(_ numbers: [Int], length: Int, _ stepper: EngineStepper) throws {
        var batch = WriteBatch()
        for number in numbers {
            let key = Self.bytes(ofKey: number)
            let value = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try batch.put(value, for: key)
            contents[key] = value
            keys.insert(key)
        }
        try write(batch, stepper)
        history.append(contents)
    }

    private func delete(_ number: Int, _ stepper: EngineStepper) throws {
        let key = Self.bytes(ofKey: number)
        var batch = WriteBatch()
        try batch.delete(key)
        try write(batch, stepper)
        contents[key] = nil
        keys.insert(key)
        history.append(contents)
    }

    private func deleteRange(_ numbers: Range<Int>, _ stepper: EngineStepper) throws {
        let range = KeyRange(
            from: Self.bytes(ofKey: numbers.lowerBound),
            to: Self.bytes(ofKey: numbers.upperBound)
        )
        var batch = WriteBatch()
        try batch.deleteRange(range)
        try write(batch, stepper)
        for number in numbers { contents[Self.bytes(ofKey: number)] = nil }
        history.append(contents)
    }

    private func write(_ batch: borrowing WriteBatch, _ stepper: EngineStepper) throws {
        try Self.settle(stepper.submit(batch, ack: .disk), stepper) {
            self.clock.advance(by: 10_000_000)
        }
    }

    /// Works until a write is acknowledged.
    package static func settle(
        _ write: EngineStepper.Write,
        _ stepper: EngineStepper,
        _ wait: () -> Void = {}
    ) throws {
        for _ in 0..<1000 {
            work(stepper)
            wait()
            switch stepper.outcome(of: write) {
            case .acknowledged: return
            case .failed(let error): throw error
            case nil: continue
            }
        }
        throw SimulationFailure("a write is never settled")
    }

    /// Does what each actor finds to do, once.
    private static func work(_ stepper: EngineStepper) {
        for actor in EngineStepper.Actor.allCases {
            guard let unit = stepper.take(actor) else { continue }
            stepper.perform(unit)
            stepper.finish(unit)
        }
    }

    // MARK: - Openings

    private func run(_ body: (Engine, EngineStepper) throws -> Void) throws {
        let engine = try Self.open(fileSystem, clock: clock)
        try body(engine, EngineStepper(engine))
        try engine.close()
    }

    /// Opens the store, or an image of it, without threads and without a cache.
    package static func open(
        _ fileSystem: SimulatedFileSystem,
        at path: String = directory,
        clock: SimulatedClock = SimulatedClock()
    ) throws(EngineError) -> Engine {
        var options = Engine.Options()
        options.logFileSize = 16_384
        options.writeBufferSize = 24_576
        options.cacheSize = 0
        options.compaction.level0Count = 2
        options.compaction.levelBaseSize = 9_000
        options.compaction.levelMultiplier = 2
        options.compaction.segmentSize = 7_000
        options.logger = Logger(label: "sample") { _ in SwiftLogNoOpLogHandler() }
        let entropy = SharedEntropy(seed: 7)
        return try Engine.open(
            at: path,
            options: options,
            environment: Environment(
                fileSystem: fileSystem,
                time: clock,
                entropy: { entropy.next() },
                startsThreads: false
            )
        )
    }

    private func note() throws {
        let names = fileSystem.names(inDirectory: Self.directory, .cached) ?? []
        files = names.compactMap { name in
            fileSystem.size(ofFile: "\(Self.directory)/\(name)", .cached).map { (name, $0) }
        }
        fileSystem.forgetTrace()
    }
}
