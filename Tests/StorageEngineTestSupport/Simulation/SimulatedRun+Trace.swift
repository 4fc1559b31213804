import StorageEngine

// The walk over a phase's trace.

extension SimulatedRun {
    /// Checks at every position of the phase's trace that what was acknowledged there is in what
    /// would survive: `.disk` in what was durable, `.wal` in what the kernel had. At sampled
    /// positions crash images are opened.
    func checkTrace() throws {
        var history = fileSystem.history()
        var floors = FloorWatch((acks + seen).sorted { $0.position < $1.position })
        var samples = samplePositions(history)[...]
        try floors.check(history, after: nil) { throw fail(.ackedWriteLost, $0) }
        while true {
            while samples.first == history.position {
                samples.removeFirst()
                try checkImage(history, floors)
            }
            guard let operation = history.next else { break }
            history.advance(to: history.position + 1)
            try floors.check(history, after: operation) { throw fail(.ackedWriteLost, $0) }
        }
        tally.add("totals", "positions", history.end - fileSystem.traceStart + 1)
    }

    /// Where images are opened: in all as many as planned, in proportion to what was done; half of
    /// them next to something else than a write.
    private func samplePositions(_ history: borrowing SimulatedHistory) -> [Int] {
        let range = history.position...history.end
        guard let planned = plan.samples else { return Array(range) }
        let isLast = submitted >= plan.operations
        let due = isLast ? planned : planned * submitted / max(1, plan.operations)
        let count = max(0, due - samplesDone)
        samplesDone += count
        let operations = fileSystem.trace(from: range.lowerBound)
        let places = operations.indices.filter { operations[$0].isInteresting }
            .map { range.lowerBound + $0 - operations.startIndex }
        return (0..<count).map { _ in
            let place = places.randomElement(using: &chance)
            let position = Int.random(in: range, using: &chance)
            guard let place, Bool.random(using: &chance) else { return position }
            return place + Int.random(in: 0...1, using: &chance)
        }.sorted()
    }

    private func checkImage(
        _ history: borrowing SimulatedHistory,
        _ floors: FloorWatch
    ) throws {
        let policy = CrashPolicy.random(using: &chance)
        let image = history.crashed(policy, using: &chance)
        let floor = policy == .all ? floors.cachedFloor : floors.floor(.disk)
        tally.add("images", policy.name)
        noteCrash(at: history.position)
        let crash = Crash(
            position: history.position,
            text: "crash at \(history.position), \(policy)"
        )
        try check(image, crash, floor: floor)
    }

    private func noteCrash(at position: Int) {
        let span = spans.last { $0.range.lowerBound < position }
        guard let span, position < span.range.upperBound else { return }
        switch span.unit {
        case "flushIndex": tally.sometimes(.crashInFlush)
        case "compact": tally.sometimes(.crashInCompaction)
        case "install": tally.sometimes(.crashInInstall)
        case "rotate": tally.sometimes(.crashInRotation)
        case "remove": tally.sometimes(.crashInRemoval)
        default: break
        }
    }
}

/// What must survive at a position of a trace, and whether it would.
struct FloorWatch {
    private let acks: [SimulatedRun.Ack]
    private var next = 0
    private var floors: [AckPoint: UInt64] = [:]
    private var durable = StoreWatch(path: SimulatedRun.directory, .durable)
    private var cached = StoreWatch(path: SimulatedRun.directory, .cached)
    /// Whether a failed sync made the kernel forget what was written.
    private var hasLostCache = false

    init(_ acks: [SimulatedRun.Ack]) { self.acks = acks }

    func floor(_ point: AckPoint) -> UInt64 { floors[point] ?? 0 }

    /// What a killed process leaves at least.
    var cachedFloor: UInt64 {
        hasLostCache ? floor(.disk) : max(floor(.wal), floor(.disk))
    }

    /// Looks at the next position; `report` throws.
    mutating func check(
        _ history: borrowing SimulatedHistory,
        after operation: SimulatedOperation?,
        _ report: (String) throws -> Void
    ) throws {
        while next < acks.count, acks[next].position <= history.position {
            let ack = acks[next]
            floors[ack.point] = max(floor(ack.point), ack.sequence)
            next += 1
        }
        if case .failedSync(_, reverts: true) = operation { hasLostCache = true }
        let position = history.position
        let onDisk = durable.survivingSequence(history, after: operation)
        try check(floor(.disk), onDisk, "disk", position, report)
        let inKernel = cached.survivingSequence(history, after: operation)
        try check(cachedFloor, inKernel, "wal", position, report)
    }

    private func check(
        _ floor: UInt64,
        _ found: Result<UInt64, StoreWatch.Missing>,
        _ point: String,
        _ position: Int,
        _ report: (String) throws -> Void
    ) throws {
        let what: String
        switch found {
        case .success(let sequence) where sequence >= floor: return
        case .success(let sequence): what = "only \(sequence) would survive"
        case .failure(let missing):
            // Before there is a store there is nothing to lose.
            guard floor > 0 else { return }
            what = "nothing would survive: \(missing.what)"
        }
        try report(
            "at position \(position) of the trace sequence \(floor) was acknowledged at .\(point), "
                + "but \(what)"
        )
    }
}

extension SimulatedOperation {
    /// Whether the operation does something else than to add bytes.
    fileprivate var isInteresting: Bool {
        if case .write = self { false } else { true }
    }
}

// For those who look into a failure.
extension SimulatedRun {
    /// The trace of the current phase, an operation a line, with the unit of work behind it.
    package var traceText: [String] {
        var names: [Int: String] = [:]
        let start = fileSystem.traceStart
        return fileSystem.trace.enumerated().map { index, operation in
            let position = start + index
            let unit = spans.last { $0.range.contains(position) }?.unit ?? ""
            return "\(position) \(operation.text(&names)) \(unit)"
        }
    }
}

extension SimulatedOperation {
    /// One line; `names` are those that files got so far.
    fileprivate func text(_ names: inout [Int: String]) -> String {
        func name(_ node: Int) -> String { names[node] ?? "file \(node)" }
        switch self {
        case .makeDirectory(_, _, let name): return "makeDirectory \(name)"
        case .create(let node, _, let name):
            names[node] = name
            return "create \(name)"
        case .write(let node, let offset, let bytes):
            return "write \(name(node)) at \(offset), \(bytes.count) bytes"
        case .truncate(let node, let size): return "truncate \(name(node)) to \(size)"
        case .allocate(let node, let size): return "allocate \(name(node)) \(size)"
        case .rename(_, let source, let target): return "rename \(source) to \(target)"
        case .unlink(_, let name): return "unlink \(name)"
        case .link(let node, _, let target): return "link \(name(node)) as \(target)"
        case .removeDirectory(_, let name): return "removeDirectory \(name)"
        case .sync(let node): return "sync \(name(node))"
        case .failedSync(let node, let reverts):
            return "failed sync of \(name(node))" + (reverts ? ", reverted" : "")
        case .syncDirectory: return "syncDirectory"
        }
    }
}
