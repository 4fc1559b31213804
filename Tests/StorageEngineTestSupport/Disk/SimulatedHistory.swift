/// A walk over the trace of a simulated file system, which can crash anywhere on the way.
package struct SimulatedHistory: Sendable {
    private var disk: SimulatedDisk
    private let operations: [SimulatedOperation]
    private let start: Int
    private let space: SimulatedSpace

    init(from disk: SimulatedDisk, _ operations: [SimulatedOperation], _ space: SimulatedSpace) {
        self.disk = disk
        self.operations = operations
        self.space = space
        start = disk.position
    }

    /// The index of the operation that comes next.
    package var position: Int { disk.position }

    /// The index behind the last operation.
    package var end: Int { start + operations.count }

    /// The operation that comes next; `nil` at the end.
    package var next: SimulatedOperation? {
        position < end ? operations[position - start] : nil
    }

    /// Walks on. The whole walk takes time in proportion to the trace.
    package mutating func advance(to position: Int) {
        precondition(position >= self.position && position <= end)
        while let next, self.position < position { disk.apply(next) }
        for orphan in disk.orphans.sorted() { disk.forget(orphan) }
    }

    /// How many changes are not durable here.
    package var pendingCount: Int { disk.pendingIndices.count }

    /// A new file system with what survives a crash here.
    package func crashed(
        _ policy: CrashPolicy,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedFileSystem {
        SimulatedFileSystem(disk.crashed(policy, using: &generator), space)
    }

    /// The same, for a policy without chance.
    package func crashed(_ policy: CrashPolicy) -> SimulatedFileSystem {
        var none = NoChance()
        return crashed(policy, using: &none)
    }

    /// The bytes of a file, or of a range of it as far as the file goes; `nil` when there is no
    /// such name.
    package func bytes(
        ofFile path: String,
        _ view: SimulatedView,
        in range: Range<UInt64>? = nil
    ) -> [UInt8]? {
        disk.bytes(ofFile: path, view, in: range)
    }

    /// The size of a file; `nil` when there is no such name.
    package func size(ofFile path: String, _ view: SimulatedView) -> UInt64? {
        disk.size(ofFile: path, view)
    }

    /// The sorted names in a directory; `nil` when there is none.
    package func names(inDirectory path: String, _ view: SimulatedView) -> [String]? {
        disk.names(inDirectory: path, view)
    }
}

// For those who follow single files: by number rather than by path, and only what changed.
extension SimulatedHistory {
    /// The number of what a path names.
    package func node(_ path: String, _ view: SimulatedView) -> Int? { disk.node(path, view) }

    /// The position where a file or directory changed last.
    package func stamp(ofNode node: Int, _ view: SimulatedView) -> Int {
        let stamps = disk.files[node]?.stamps ?? disk.directories[node]?.stamps
        return (view == .durable ? stamps?.durable : stamps?.cached) ?? 0
    }

    /// The names in a directory, with the numbers of what they name.
    package func entries(ofNode node: Int, _ view: SimulatedView) -> [String: Int] {
        disk.directories[node]?.entries(view) ?? [:]
    }

    package func size(ofNode node: Int, _ view: SimulatedView) -> UInt64 {
        disk.files[node].map { $0.bytes(view).size } ?? 0
    }

    /// The bytes of a range, as far as the file goes.
    package func bytes(
        ofNode node: Int,
        _ view: SimulatedView,
        in range: Range<UInt64>
    ) -> [UInt8] {
        disk.files[node]?.bytes(view).read(range) ?? []
    }
}

/// Stands in where a policy draws no numbers.
struct NoChance: RandomNumberGenerator {
    // The thread sanitizer crashes on an inout argument of size zero, which has no address.
    private var size: UInt8 = 0

    mutating func next() -> UInt64 { fatalError("the policy needs a generator") }
}
