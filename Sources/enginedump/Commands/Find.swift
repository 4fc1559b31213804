internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Find: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Prints every version of a key that is in the store, the oldest first.",
        discussion: """
            Example: enginedump find DIR user:1 --format json

            Operations in the log are lines `record`, versions and range tombstones in live
            segments lines `entry`. What was flushed may be in both.
            """
    )

    @Argument(help: "The store's directory.") var directory: String
    @Argument(help: "The key.") var key: String
    @Flag(help: "The key and the values are lowercase hexadecimal digits.") var hex = false
    @Option(help: "text or json (one object a line).") var format = OutputFormat.text

    func run() throws {
        var filter = try Filter.parse(hex ? ["--hex"] : [])
        filter.format = format
        let key = try filter.bytes(key)
        let printer = LinePrinter(filter)
        var hits: [Hit] = []
        // The log comes first: what is flushed meanwhile is found in a segment too.
        let log = try findInLog(key, &hits, printer)
        let isTreeDamaged = try findInSegments(key, &hits, printer)
        // Sorting keeps the order of what is equal: the log before segments.
        let order = hits.indices.sorted { (hits[$0].sequence, $0) < (hits[$1].sequence, $1) }
        for index in order { try show(hits[index], printer) }
        if log.isDamaged || isTreeDamaged { throw SilentExit(.corruption) }
        if log.hasMissingFiles { throw SilentExit(.gap) }
        if hits.isEmpty { throw SilentExit(.keyNotFound) }
    }

    private func show(_ hit: Hit, _ printer: LinePrinter) throws {
        if let head = hit.head { return try printer.record(hit.place, head, hit.operations) }
        for operation in hit.operations {
            try printer.entry(hit.place, operation, sequence: hit.sequence, level: hit.level)
        }
    }

    private func findInLog(
        _ key: [UInt8],
        _ hits: inout [Hit],
        _ printer: LinePrinter
    ) throws -> LogInspection {
        try LogInspector(path: directory).run { place, event in
            switch event {
            case .record(let head, let operations):
                let shown = try InspectedOperation.all(operations).filter { $0.touches(key) }
                guard !shown.isEmpty else { return }
                hits.append(
                    Hit(sequence: head.sequence, place: place, operations: shown, head: head)
                )
            case .error(let error): try printer.error(place, error)
            case .gap(let length, let reason, let after, isDamage: true):
                try printer.gap(
                    place,
                    length: length,
                    reason: reason,
                    after: after,
                    isDamage: true
                )
            default: break
            }
        }
    }

    /// Finds the key in live segments; returns whether something is damaged.
    private func findInSegments(
        _ key: [UInt8],
        _ hits: inout [Hit],
        _ printer: LinePrinter
    ) throws -> Bool {
        let found = SegmentHits(key)
        let directory = try StoreInspector.openDirectory(directory)
        let store = try StoreInspector.eachLiveSegment(of: directory) { place, event in
            try printer.print(event, at: place, onlyDamage: true)
        } _: { segment in
            try found.look(in: segment, directory)
        }
        var isDamaged = store.manifest.isDamaged || !store.missing.isEmpty
        for segment in store.segments {
            for (place, error) in found.errors[segment.info.number] ?? [] {
                isDamaged = true
                try printer.error(place, error)
            }
            for var hit in found.hits[segment.info.number] ?? [] {
                hit.level = segment.level
                hits.append(hit)
            }
        }
        for segment in store.missing { try printer.missing(segment) }
        return isDamaged
    }
}

/// Something on a key: a record's operations, or what a segment holds.
private struct Hit {
    let sequence: UInt64
    let place: LogPlace
    let operations: [InspectedOperation]
    /// `nil` in a segment.
    let head: RecordHead?
    var level = 0
}

/// What segments hold of a key, by their numbers.
///
/// Thread safety: none.
private final class SegmentHits {
    private let keys: KeyRange
    private(set) var hits: [UInt64: [Hit]] = [:]
    private(set) var errors: [UInt64: [(LogPlace, EngineError)]] = [:]

    init(_ key: [UInt8]) { keys = KeyRange(from: key, to: key + [0]) }

    func look(in segment: LevelSegment, _ directory: StoreDirectory) throws {
        guard segment.info.touches(keys) else { return }
        let number = segment.info.number
        let inspector: SegmentInspector
        do throws(EngineError) {
            inspector = try SegmentInspector(number: number, in: directory)
        } catch {
            guard error.code != .io else { throw error }
            let name = FileName.segment(number).description
            errors[number, default: []].append((LogPlace(file: name, offset: 0), error))
            return
        }
        try inspector.run(.entries, keys: keys) { place, event in
            note(event, at: place, number)
        }
    }

    private func note(_ event: SegmentEvent, at place: LogPlace, _ number: UInt64) {
        switch event {
        case .entry(let operation, let sequence):
            let hit = Hit(sequence: sequence, place: place, operations: [operation], head: nil)
            hits[number, default: []].append(hit)
        case .error(let error): errors[number, default: []].append((place, error))
        case .segment, .block: break
        }
    }
}
