package import StorageEngine

/// Repairs and salvages damaged copies of a store, and holds what is left against what was written
/// and what is said to be lost.
package struct RepairCheck {
    package let store: SampleStore

    package init(_ store: SampleStore) { self.store = store }

    private static let salvaged = "salvaged"

    /// A copy of the store, damaged.
    package func image(_ damages: [Damage]) throws -> SimulatedFileSystem {
        let image = store.fileSystem.crashed(.all)
        for damage in damages { try damage.apply(to: image) }
        // A crash does not undo it.
        return image.crashed(.all)
    }

    /// Repairs an image; `nil` when nothing is wrong with it.
    @discardableResult
    package static func repair(
        _ image: SimulatedFileSystem,
        seed: UInt64 = 3
    ) throws(EngineError) -> RepairReport? {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: image)
        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        let repair = try StoreRepair(
            directory,
            environment: environment(image, seed),
            memoryMax: 4096
        )
        try repair.apply()
        try lock.release()
        return repair.report.isNeeded ? repair.report : nil
    }

    /// Salvages an image into the directory ``salvaged`` beside it.
    package static func salvage(
        _ image: SimulatedFileSystem,
        to path: String = salvaged
    ) throws(EngineError) -> SalvageReport {
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: image)
        let salvage = try StoreSalvage(
            directory,
            environment: environment(image, 5),
            memoryMax: 4096
        )
        return try salvage.run(to: path)
    }

    private static func environment(_ image: SimulatedFileSystem, _ seed: UInt64) -> Environment {
        let entropy = SharedEntropy(seed: seed)
        return Environment(
            fileSystem: image,
            time: SimulatedClock(),
            entropy: { entropy.next() },
            startsThreads: false
        )
    }

    // MARK: - Checks

    /// Damages a copy, repairs it, and checks that it opens, verifies, takes writes, and differs
    /// from what was written at most where something is told to be lost.
    ///
    /// - Returns: What the repair told; `nil` when nothing was wrong.
    package func checkRepair(_ damages: [Damage]) throws -> RepairReport? {
        let image = try image(damages)
        let report: RepairReport?
        do throws(EngineError) {
            report = try Self.repair(image)
        } catch {
            throw SimulationFailure("\(damages): the repair failed: \(error)")
        }
        do {
            let engine = try SampleStore.open(image)
            _ = try engine.verify()
            try check(engine, report?.losses ?? [], isPrefix: true, "\(damages), repaired")
            guard report == nil || engine.lastSequence == report?.lastSequence else {
                throw SimulationFailure("\(damages): the last sequence is another one")
            }
            try engine.close()
            if let again = try Self.repair(image) {
                throw SimulationFailure("\(damages): repaired, but \(again.defects)")
            }
            try checkWrites(image)
        } catch let error as EngineError {
            throw SimulationFailure(
                "\(damages): repaired, but \(error); \(String(describing: report))"
            )
        }
        return report
    }

    /// Damages a copy, salvages it, and checks the new store likewise, and that the old one is as
    /// it was.
    package func checkSalvage(_ damages: [Damage]) throws -> SalvageReport {
        let image = try image(damages)
        do {
            let report = try Self.salvage(image)
            let engine = try SampleStore.open(image, at: Self.salvaged)
            _ = try engine.verify()
            try check(engine, report.losses, isPrefix: false, "\(damages), salvaged")
            guard engine.historyID == report.historyID, engine.lastSequence == report.lastSequence
            else { throw SimulationFailure("\(damages): salvaged as another history") }
            try engine.close()
            for (name, _) in store.files where name != FileName.lock.description {
                let path = "\(SampleStore.directory)/\(name)"
                guard
                    image.bytes(ofFile: path, .cached)
                        == (try self.image(damages)).bytes(ofFile: path, .cached)
                else { throw SimulationFailure("\(damages): salvage changed \(name)") }
            }
            return report
        } catch let error as EngineError {
            throw SimulationFailure("\(damages): salvaged, but \(error)")
        }
    }

    /// Damages a file, repairs the store, and lets the repair crash at every so many steps: another
    /// repair comes to the same, and what was damaged is where it was or in quarantine.
    ///
    /// - Returns: How many crashes were tried.
    package func checkCrashes(
        of damage: Damage,
        to name: String,
        every distance: Int
    ) throws -> Int {
        let image = try image([damage])
        let damaged = image.bytes(ofFile: "\(SampleStore.directory)/\(name)", .cached) ?? []
        try Self.repair(image)
        let expected = try contents(image)
        var history = image.history()
        var generator = SeededGenerator(seed: 17)
        let start = history.position
        let policies: [CrashPolicy] = [.none, .all, .sectors(keep: 0.5)]
        var count = 0
        for position in Swift.stride(from: start, through: history.end, by: distance) {
            history.advance(to: position)
            let policy = policies[count % policies.count]
            let what = "\(damage), crash of the repair at \(position - start) with \(policy)"
            let crashed = history.crashed(policy, using: &generator)
            do {
                try checkRepaired(crashed, expected, what)
            } catch let error as EngineError {
                throw SimulationFailure("\(what): \(error)")
            }
            guard Self.keeps(damaged, name, in: crashed) else {
                throw SimulationFailure("\(what): \(name) is gone")
            }
            count += 1
        }
        return count
    }

    /// Repairs a store whose repair was cut short, and checks that this comes to the same.
    package func checkRepaired(
        _ image: SimulatedFileSystem,
        _ expected: [[UInt8]: [UInt8]],
        _ what: String
    ) throws {
        try Self.repair(image, seed: 19)
        guard try contents(image) == expected else {
            throw SimulationFailure("\(what): repaired with other contents")
        }
        guard try Self.repair(image) == nil else {
            throw SimulationFailure("\(what): repaired twice, and still damaged")
        }
    }

    /// What a store holds, which must verify.
    package func contents(_ image: SimulatedFileSystem) throws -> [[UInt8]: [UInt8]] {
        let engine = try SampleStore.open(image)
        _ = try engine.verify()
        let found = try contents(engine)
        try engine.close()
        return found
    }

    private func contents(_ engine: Engine) throws -> [[UInt8]: [UInt8]] {
        var cursor = try engine.makeSnapshot().cursor()
        var found: [[UInt8]: [UInt8]] = [:]
        while try cursor.next() {
            let key = cursor.key.withUnsafeBufferPointer { Array($0) }
            found[key] = cursor.value.withUnsafeBufferPointer { Array($0) }
        }
        return found
    }

    /// Whether a damaged file is where it was, or in quarantine, from some offset on.
    package static func keeps(
        _ bytes: [UInt8],
        _ name: String,
        in image: SimulatedFileSystem
    ) -> Bool {
        let directory = SampleStore.directory
        if image.bytes(ofFile: "\(directory)/\(name)", .durable) == bytes { return true }
        let copies = image.names(inDirectory: "\(directory)/quarantine", .durable) ?? []
        return copies.contains { copy in
            guard copy.hasPrefix(name + "-") else { return false }
            let kept = image.bytes(ofFile: "\(directory)/quarantine/\(copy)", .durable) ?? []
            let start = Int(copy.dropFirst(name.count + 1).prefix { $0 != "-" }) ?? 0
            return kept == Array(bytes[start...])
        }
    }

    /// One damage for each way of repairing, and the file that is damaged: a segment of which a
    /// part can be read, one whose records the log has, the log, the manifest, STORE.
    package static let ways: [(damage: Damage, name: String)] = [
        (.flip("0000000003.segment", at: 600), "0000000003.segment"),
        (.flip("0000000011.segment", at: 600), "0000000011.segment"),
        (.flip("0000000008.log", at: 6000), "0000000008.log"),
        (.flip("0000000002.manifest", at: 4100), "0000000002.manifest"),
        (.flip("STORE", at: 70), "STORE"),
    ]

    /// Compares a store with what was written, but for keys of which something may be lost.
    /// `isPrefix`: where the end of the history is lost, what is left was the state at some time.
    package func check(
        _ engine: Engine,
        _ losses: [StoreLoss],
        isPrefix: Bool,
        _ what: String
    ) throws {
        let found = try contents(engine)
        let inside = losses.filter { !$0.isOfEnd }
        let wasThere = store.history.contains { state in
            store.keys.allSatisfy { key in
                found[key] == state[key] || inside.contains { $0.keys.contains(key) }
            }
        }
        guard !isPrefix || wasThere else {
            throw SimulationFailure("\(what): the contents were never those")
        }
        for key in store.keys where found[key] != store.contents[key] {
            guard losses.contains(where: { $0.keys.contains(key) }) else {
                throw SimulationFailure(
                    "\(what): \(key) is wrong, and not told to be lost: \(losses)"
                )
            }
        }
        guard found.keys.allSatisfy(store.keys.contains) else {
            throw SimulationFailure("\(what): a key that was never written")
        }
    }

    /// Writes to the store, closes it, and finds what was written.
    private func checkWrites(_ image: SimulatedFileSystem) throws {
        let engine = try SampleStore.open(image)
        let last = engine.lastSequence
        let stepper = EngineStepper(engine)
        var batch = WriteBatch()
        try batch.put("value", for: "key1003")
        let write = stepper.submit(batch, ack: .disk)
        try SampleStore.settle(write, stepper)
        guard write.sequence == last + 1 else { throw SimulationFailure("a sequence was skipped") }
        try engine.close()
        let again = try SampleStore.open(image)
        guard try again.value(for: "key1003") == Array("value".utf8) else {
            throw SimulationFailure("what was written after a repair is not there")
        }
        _ = try again.verify()
        try again.close()
    }
}

extension StoreLoss {
    /// Whether the end of the history is lost, and nothing before it.
    fileprivate var isOfEnd: Bool {
        switch kind {
        case .unreadable, .behindHole, .unknownEnd: true
        case .versions, .rangeDeletes, .unknownSegments: false
        }
    }
}
