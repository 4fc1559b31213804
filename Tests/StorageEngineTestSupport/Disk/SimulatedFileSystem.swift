internal import StorageEngine

/// A file system in memory that remembers what was synced, fails on request, and can crash.
///
/// Deterministic: the same calls have the same effects and the same trace. Relative paths start at
/// the root, which exists. There are no symbolic links.
/// Thread safety: every member may be used from any thread.
package final class SimulatedFileSystem: FileSystem, @unchecked Sendable {
    private let mutex = Lock()
    /// Guarded by `mutex`.
    private var state: SimulatedState

    /// Makes an empty file system of a capacity in bytes.
    package convenience init(profile: SimulatedProfile = .strict, capacity: UInt64 = .max) {
        self.init(SimulatedDisk(profile: profile), SimulatedSpace(capacity: capacity))
    }

    init(_ disk: SimulatedDisk, _ space: SimulatedSpace) {
        state = SimulatedState(disk, space)
    }

    func with<R>(_ body: (inout SimulatedState) throws(IOFailure) -> R) throws(IOFailure) -> R {
        try mutex.with { () throws(IOFailure) in try body(&state) }
    }

    private func look<R>(_ body: (inout SimulatedState) -> R) -> R {
        mutex.with { body(&state) }
    }

    /// Which promises the disk keeps beyond POSIX.
    package var profile: SimulatedProfile { look { $0.disk.profile } }

    // MARK: - Faults

    /// The sum of the sizes that files can reach; a write over it is cut short, the next one fails.
    package var capacity: UInt64 {
        get { look { $0.space.capacity } }
        set { look { $0.space.capacity = newValue } }
    }

    /// How much fits, and what a full disk says.
    package var space: SimulatedSpace {
        get { look { $0.space } }
        set { look { $0.space = newValue } }
    }

    /// The sizes of all files, in bytes.
    package var usedSpace: UInt64 { look { $0.usedSpace } }

    /// Whether programs see the old bytes again after a failed sync, as on Btrfs; otherwise they go
    /// on seeing those that were not written.
    package var failedSyncReverts: Bool {
        get { look { $0.failedSyncReverts } }
        set { look { $0.failedSyncReverts = newValue } }
    }

    /// The clock that ends faults which pass.
    package var clock: SimulatedClock? {
        get { look { $0.clock } }
        set { look { $0.clock = newValue } }
    }

    /// Whether changes are refused with EROFS.
    package var isReadOnly: Bool {
        get { look { $0.isReadOnly } }
        set { look { $0.isReadOnly = newValue } }
    }

    package func inject(_ fault: SimulatedFault) { look { $0.faults.inject(fault) } }
    package var hasPlannedFaults: Bool { look { !$0.faults.planned.isEmpty } }
    package func removeFaults() { look { $0.faults.removeAll() } }

    /// How many calls were made.
    package var callCount: Int { look { $0.faults.callCount } }
    /// How many calls were hit by a fault.
    package var injectedFaultCount: Int {
        look { $0.faults.injectedBefore + $0.faults.injected.count }
    }
    /// Whether every call is written down.
    package var recordsCalls: Bool {
        get { look { $0.faults.recordsCalls } }
        set { look { $0.faults.recordsCalls = newValue } }
    }
    /// The calls that were made since.
    package var recordedCalls: [(call: SimulatedCall, name: String)] {
        look { $0.faults.recorded }
    }
    /// The calls that were hit by a fault, in order.
    package var injectedFaults: [InjectedFault] { look { $0.faults.injected } }
    /// The same, and forgets them.
    package func takeInjectedFaults() -> [InjectedFault] { look { $0.faults.takeInjected() } }
    /// A hash of every operation, and of every call and what came of it.
    package var traceHash: UInt64 { look { $0.hash.value } }
    /// How many bytes were read.
    package var readSize: UInt64 { look { $0.readSize } }
    /// How many handles are open.
    package var openHandleCount: Int { look { $0.handles.count } }

    /// Gives a file or directory other permissions.
    package func setPermissions(_ permissions: UInt32, ofPath path: String) {
        look { state in
            guard let node = state.disk.node(path, .cached) else { return }
            state.disk.permissions[node] = permissions
        }
    }

    // MARK: - Trace and crashes

    /// The index of the first operation of the trace, after what was forgotten.
    package var traceStart: Int { look { $0.disk.position - $0.operations.count } }
    /// The index of the next operation in the trace.
    package var traceEnd: Int { look { $0.disk.position } }
    /// The operations since the start, or since the trace was last forgotten.
    package var trace: [SimulatedOperation] { look { $0.operations } }

    /// The operations from a position of the trace on.
    package func trace(from position: Int) -> ArraySlice<SimulatedOperation> {
        look { $0.operations.suffix($0.disk.position - position) }
    }

    /// Frees the memory of the trace; histories begin here from now on.
    package func forgetTrace() { look { $0.forgetTrace() } }

    /// A walk over the trace up to now.
    package func history() -> SimulatedHistory {
        look { SimulatedHistory(from: $0.base, $0.operations, $0.space) }
    }

    /// How many changes are not durable now.
    package var pendingCount: Int { look { $0.disk.pendingIndices.count } }

    /// A new file system with what survives a crash now. Locks, handles and faults do not.
    package func crashed(
        _ policy: CrashPolicy,
        using generator: inout some RandomNumberGenerator
    ) -> SimulatedFileSystem {
        let (disk, space) = look { ($0.disk, $0.space) }
        return SimulatedFileSystem(disk.crashed(policy, using: &generator), space)
    }

    /// The same, for a policy without chance.
    package func crashed(_ policy: CrashPolicy) -> SimulatedFileSystem {
        var none = NoChance()
        return crashed(policy, using: &none)
    }

    /// A new file system as the death of all processes leaves it: what was not on disk is not yet.
    /// Locks, handles and faults are gone.
    package func killed() -> SimulatedFileSystem {
        let (disk, space) = look { ($0.disk, $0.space) }
        return SimulatedFileSystem(disk, space)
    }

    /// The bytes of a file, or of a range of it as far as the file goes; `nil` when there is no
    /// such name.
    package func bytes(
        ofFile path: String,
        _ view: SimulatedView,
        in range: Range<UInt64>? = nil
    ) -> [UInt8]? {
        look { $0.disk.bytes(ofFile: path, view, in: range) }
    }

    /// The size of a file; `nil` when there is no such name.
    package func size(ofFile path: String, _ view: SimulatedView) -> UInt64? {
        look { $0.disk.size(ofFile: path, view) }
    }

    /// The sorted names in a directory; `nil` when there is none.
    package func names(inDirectory path: String, _ view: SimulatedView) -> [String]? {
        look { $0.disk.names(inDirectory: path, view) }
    }
}
