package import StorageEngine

/// Damages a store in every way, and looks at what the engine makes of it: nothing but right data,
/// or a typed error that names the file and the offset.
///
/// Opening, a scan both ways, a lookup of every key and a verification are tried on each image. An
/// open that is refused leaves every file as it is. A loop over calls of the system ends by itself:
/// after more of them than any image needs they fail, which is told as wrong.
package struct DamageSweep {
    /// What became of a damaged store.
    package enum Outcome: Sendable, Hashable {
        /// All data is there, and a verification finds nothing.
        case equal
        /// The store was not opened.
        case refused(EngineError.Code)
        /// It was opened, and some call was refused; the others gave right data.
        case noticed(EngineError.Code)

        package var name: String {
            switch self {
            case .equal: "equal"
            case .refused(let code): "refused with \(code.rawValue)"
            case .noticed(let code): "opened, then \(code.rawValue)"
            }
        }
    }

    package let store: SampleStore
    private let sortedKeys: [[UInt8]]

    package init(_ store: SampleStore) {
        self.store = store
        sortedKeys = store.keys.sorted { $0.lexicographicallyPrecedes($1) }
    }

    // MARK: - What is tried

    /// Every damage of the store: flips and cuts at every offset of a stride and on both sides of
    /// each boundary in a file, and all of the others.
    package func damages(stride: UInt64) throws -> [Damage] {
        var damages: [Damage] = []
        let boundaries = try boundaries()
        for (name, size) in store.files {
            let near = (boundaries[name] ?? []).flatMap { [$0 &- 1, $0, $0 + 1] }
            let strided = Swift.stride(from: 0, to: size, by: Int(stride)).map { $0 }
            let offsets = Set(near + strided + [size &- 1]).filter { $0 < size }.sorted()
            damages += offsets.map { .flip(name, at: $0) }
            damages += offsets.map { .truncate(name, to: $0) }
            for unit: UInt64 in [512, 4096] {
                damages += Swift.stride(from: 0, to: size, by: Int(unit)).map {
                    .zero(name, $0..<min($0 + unit, size))
                }
            }
            if name != FileName.lock.description { damages.append(.delete(name)) }
        }
        return damages + swaps()
    }

    /// Files of a kind in each other's place.
    private func swaps() -> [Damage] {
        var damages: [Damage] = []
        for kind in ["log", "segment", "manifest"] {
            let names = store.files.map(\.name).filter { $0.hasSuffix("." + kind) }
            for (index, name) in names.enumerated() {
                for other in names[(index + 1)...] { damages.append(.swap(name, other)) }
                for other in names where other != name {
                    damages.append(.duplicate(name, as: other))
                }
                for number in ["0000000001", "0000000042"] where !names.contains(number) {
                    damages.append(.duplicate(name, as: "\(number).\(kind)"))
                }
            }
        }
        return damages
    }

    /// Where headers, frames and blocks begin.
    private func boundaries() throws -> [String: [UInt64]] {
        var found: [String: [UInt64]] = [:]
        let directory = try StoreDirectory.open(
            path: SampleStore.directory,
            in: store.fileSystem
        )
        _ = try LogInspector(directory).run { place, _ in
            found[place.file, default: []].append(place.offset)
        }
        let tree = try StoreInspector.read(directory) { place, _ in
            found[place.file, default: []].append(place.offset)
        }
        for segment in tree.segments {
            let inspector = try SegmentInspector(number: segment.info.number, in: directory)
            try inspector.run(.blocks) { place, _ in
                found[place.file, default: []].append(place.offset)
            }
            found[FileName.segment(segment.info.number).description, default: []]
                .append(segment.info.size - 64)
        }
        return found
    }

    // MARK: - What comes of it

    /// Damages a copy of the store and judges what the engine makes of it.
    ///
    /// - Throws: ``SimulationFailure`` that names the damage, when it is no ``Outcome``.
    package func check(_ damage: Damage) throws -> Outcome {
        let image = store.fileSystem.crashed(.all)
        try damage.apply(to: image)
        image.forgetTrace()
        image.inject(
            SimulatedFault(nil, errno: 5, occurrence: Self.callCountMax, duration: .forever)
        )
        let engine: Engine
        do throws(EngineError) {
            engine = try SampleStore.open(image)
        } catch {
            try judge(error, damage)
            guard image.trace.isEmpty else {
                throw SimulationFailure("\(damage): refused, but \(image.trace.count) changes")
            }
            return .refused(error.code)
        }
        var first: EngineError?
        func attempt(_ what: String, _ body: () throws -> Bool) throws {
            do {
                guard try body() else { throw SimulationFailure("\(damage): \(what) is wrong") }
            } catch let error as EngineError {
                try judge(error, damage)
                if first == nil { first = error }
            }
        }
        try attempt("a scan") { try scan(engine) }
        try attempt("a scan backwards") { try scanBackwards(engine) }
        for key in sortedKeys {
            try attempt("a lookup") { try engine.value(for: key) == store.contents[key] }
        }
        try attempt("a verification") {
            _ = try engine.verify()
            return true
        }
        return first.map { .noticed($0.code) } ?? .equal
    }

    /// No image takes near as many calls of the file system.
    private static let callCountMax = 50_000

    private func judge(_ error: EngineError, _ damage: Damage) throws {
        // Damage never looks like another version.
        let codes: [EngineError.Code] = [.corruption, .logGap]
        guard codes.contains(error.code), error.file != nil, error.offset != nil else {
            throw SimulationFailure("\(damage): \(error)")
        }
    }

    /// Whether a scan finds nothing but what was written, and all of it; up to an error.
    private func scan(_ engine: Engine) throws -> Bool {
        var left = sortedKeys.filter { store.contents[$0] != nil }[...]
        var cursor = try engine.makeSnapshot().cursor()
        while try cursor.next() {
            guard isNext(left.popFirst(), cursor) else { return false }
        }
        return left.isEmpty
    }

    private func scanBackwards(_ engine: Engine) throws -> Bool {
        var left = sortedKeys.filter { store.contents[$0] != nil }[...]
        var cursor = try engine.makeSnapshot().cursor()
        var isOnEntry = try cursor.seekToLast()
        while isOnEntry {
            guard isNext(left.popLast(), cursor) else { return false }
            isOnEntry = try cursor.previous()
        }
        return left.isEmpty
    }

    private func isNext(_ key: [UInt8]?, _ cursor: borrowing Cursor) -> Bool {
        guard let key else { return false }
        return cursor.key.withUnsafeBufferPointer { $0.elementsEqual(key) }
            && cursor.value.withUnsafeBufferPointer { $0.elementsEqual(store.contents[key] ?? []) }
    }
}
