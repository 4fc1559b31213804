// Looks at a store as a whole, whole or damaged, beside a running engine or without one.
//
// 1. STORE is read first, then the manifest that it names, then the files that this names. A
//    running engine replaces the manifest, and removes files that it does not name any more.
// 2. So a file that is missing is looked for again by what STORE and the manifest say now, five
//    times in all. It is missing when both name it still.

/// What STORE and the manifest that it names say.
package struct InspectedStore: Sendable {
    /// `nil` when STORE is missing or damaged.
    package var mark: StoreMark?
    /// The number of the manifest; 0 when there is none.
    package var manifestNumber: UInt64 = 0
    package var manifest = ManifestInspection()
    /// Segments that are named, and were not there.
    package var missing: [LevelSegment] = []

    package var segments: [LevelSegment] { manifest.state.snapshot.added }
}

/// Reads a store's directory tolerantly.
package enum StoreInspector {
    /// How often a directory is read that changes all the time.
    static let triesMax = 5

    package static func openDirectory(_ path: String) throws(EngineError) -> StoreDirectory {
        try StoreDirectory.open(path: path, in: PosixFileSystem(), allowsSharedWriting: true)
    }

    /// Reads what STORE says; `nil` when there is none.
    package static func mark(of directory: StoreDirectory) throws(EngineError) -> StoreMark? {
        guard let file = try directory.openIfPresent(.store, for: .read) else { return nil }
        let bytes = try file.read(count: StoreMark.sizeMax + 1, at: 0)
        return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try StoreMark(decoding: bytes)
        }
    }

    /// The history that STORE names; `nil` when there is none that can be read.
    package static func historyID(of directory: StoreDirectory) -> UniqueID? {
        do throws(EngineError) { return try mark(of: directory)?.historyID } catch { return nil }
    }

    /// Calls a closure with the number of every segment file, also of those that come while a file
    /// vanishes.
    package static func eachSegment(
        of directory: StoreDirectory,
        _ body: (UInt64) throws -> Void
    ) throws {
        var seen: Set<UInt64> = []
        for _ in 0..<triesMax {
            var hasVanished = false
            for case .segment(let number) in try directory.list().known
            where seen.insert(number).inserted {
                do { try body(number) } catch let error as EngineError where error.isMissingFile {
                    hasVanished = true
                }
            }
            guard hasVanished else { return }
        }
    }

    /// Whether a segment has no footer yet and the manifest does not name it: a flush or a
    /// compaction writes it, or did and was cut short.
    package static func isUnfinished(
        _ number: UInt64,
        in directory: StoreDirectory
    ) throws -> Bool {
        do throws(EngineError) {
            _ = try SegmentInspector(number: number, in: directory)
            return false
        } catch {
            guard error.code == .corruption else { throw error }
        }
        do {
            let store = try read(directory) { _, _ in }
            return !store.manifest.isDamaged
                && !store.segments.contains { $0.info.number == number }
        } catch let error as EngineError where error.code == .notAStore {
            return false
        }
    }

    // MARK: - STORE, manifest, segments

    /// Reads STORE and the manifest that it names; the newest one when STORE cannot be read.
    ///
    /// - Throws: ``EngineError`` with code `notAStore` or `io`, or what the closure throws. Damage
    ///   is handed to the closure, and noted in what is returned.
    package static func read(
        _ directory: StoreDirectory,
        _ handle: ManifestInspector.Handler
    ) throws -> InspectedStore {
        var store = InspectedStore()
        for _ in 0..<triesMax {
            let last = store.manifestNumber
            store = try readMark(directory, handle)
            guard store.manifestNumber > 0 else { return store }
            do {
                let inspector = try ManifestInspector(
                    number: store.manifestNumber,
                    in: directory,
                    historyID: store.mark?.historyID
                )
                let wasDamaged = store.manifest.isDamaged
                store.manifest = try inspector.run(handle)
                if wasDamaged { store.manifest.isDamaged = true }
                return store
            } catch let error as EngineError where error.isMissingFile {
                if store.manifestNumber == last { break }
            }
        }
        store.manifest.isDamaged = true
        let name = FileName.manifest(store.manifestNumber).description
        let error = EngineError.corruption(
            "opening the manifest: the file that STORE names is missing",
            file: name,
            offset: 0
        )
        try handle(LogPlace(file: name, offset: 0), .error(error))
        return store
    }

    private static func readMark(
        _ directory: StoreDirectory,
        _ handle: ManifestInspector.Handler
    ) throws -> InspectedStore {
        var store = InspectedStore()
        let name = FileName.store.description
        do throws(EngineError) {
            store.mark = try mark(of: directory)
            if let mark = store.mark {
                store.manifestNumber = mark.manifest
                return store
            }
            guard try directory.list().known.contains(where: \.isOfStore) else {
                throw EngineError(.notAStore, "there is no store in \(directory.path)")
            }
            throw .corruption("reading the store's mark: it is missing", file: name, offset: 0)
        } catch {
            guard error.code == .corruption || error.code == .unsupportedFormat else { throw error }
            store.manifest.isDamaged = true
            try handle(LogPlace(file: name, offset: error.offset ?? 0), .error(error))
        }
        for case .manifest(let number) in try directory.list().known {
            store.manifestNumber = number
        }
        return store
    }

    /// Reads STORE and the manifest, and calls a closure once for every segment that is live, also
    /// for those that a running engine makes of others meanwhile.
    ///
    /// The closure throws what opening a file that is missing throws to have it looked for again.
    ///
    /// - Throws: ``EngineError`` with code `notAStore` or `io`, or what the closures throw.
    /// - Returns: What STORE and the manifest said last.
    package static func eachLiveSegment(
        of directory: StoreDirectory,
        _ handle: ManifestInspector.Handler,
        _ body: (LevelSegment) throws -> Void
    ) throws -> InspectedStore {
        var seen: Set<UInt64> = []
        var missing: [LevelSegment] = []
        for _ in 0..<triesMax {
            var events: [(LogPlace, ManifestEvent)] = []
            var store = try read(directory) { events.append(($0, $1)) }
            let numbers = Set(store.segments.map(\.info.number))
            missing = missing.filter { numbers.contains($0.info.number) }
            var vanished: [LevelSegment] = []
            for segment in store.segments where seen.insert(segment.info.number).inserted {
                do { try body(segment) } catch let error as EngineError where error.isMissingFile {
                    vanished.append(segment)
                }
            }
            missing += vanished
            guard vanished.isEmpty else { continue }
            store.missing = missing
            for (place, event) in events { try handle(place, event) }
            return store
        }
        throw EngineError(
            .io,
            "reading the store: its segments changed during each of \(triesMax) attempts"
        )
    }
}

extension FileName {
    /// Whether only a store has such a file.
    fileprivate var isOfStore: Bool {
        switch self {
        case .log, .manifest, .segment, .temporaryStore, .slots: true
        case .store, .lock, .quarantine, .temporaryLog, .temporarySlots, .backup,
            .temporaryBackup, .savedLog, .savedSegment, .member, .temporaryMember, .copy,
            .temporaryCopy:
            false
        }
    }
}
