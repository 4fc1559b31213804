internal import Glibc
internal import StorageEngine

/// How much a simulated disk takes, and how it says that it is full.
package struct SimulatedSpace: Sendable {
    /// The sum of the sizes that files can reach, in bytes.
    package var capacity = UInt64.max
    /// What a full disk answers: ENOSPC, or EDQUOT where a quota is the limit.
    package var errno = ENOSPC
    /// Whether blocks are given out when they are written back: a write goes well, and the sync
    /// fails (delayed allocation). Otherwise a write is cut short, and the next one fails.
    package var allocatesLate = false

    package init(capacity: UInt64 = .max) { self.capacity = capacity }
}

/// Everything that the lock of a simulated file system protects.
struct SimulatedState {
    struct OpenFile {
        let node: Int
        let name: String
        let isWritable: Bool
    }

    /// Far behind what any file reaches.
    static let offsetLimit: UInt64 = 1 << 60

    var disk: SimulatedDisk
    /// The disk where the trace begins.
    private(set) var base: SimulatedDisk
    private(set) var operations: [SimulatedOperation] = []
    var faults = SimulatedFaults()
    var space: SimulatedSpace
    var isReadOnly = false
    var failedSyncReverts = false
    /// Bytes that were read.
    var readSize: UInt64 = 0
    /// For faults that pass.
    var clock: SimulatedClock?
    /// Over every operation and the outcome of every call.
    var hash = TraceHash()
    /// Open files by the number of their handle. Numbers are not used again.
    private(set) var handles: [Int32: OpenFile] = [:]
    /// Who has a lock, by node and number of the handle, and whether it is exclusive.
    var locks: [Int: [Int32: Bool]] = [:]
    private var nextHandle: Int32 = 3
    private var nextNode: Int

    init(_ disk: SimulatedDisk, _ space: SimulatedSpace) {
        self.disk = disk
        base = disk
        self.space = space
        nextNode = 1 + max(disk.files.keys.max() ?? 0, disk.directories.keys.max() ?? 0)
    }

    mutating func forgetTrace() {
        base = disk
        operations = []
    }

    /// Does something to the disk, and writes it down.
    mutating func perform(_ operation: SimulatedOperation) {
        disk.apply(operation)
        operations.append(operation)
        hash.add(operation)
        if !disk.orphans.isEmpty { forgetClosedOrphans() }
    }

    mutating func newNode() -> Int {
        defer { nextNode += 1 }
        return nextNode
    }

    mutating func openHandle(_ node: Int, _ name: String, isWritable: Bool) -> FileHandle {
        defer { nextHandle += 1 }
        handles[nextHandle] = OpenFile(node: node, name: name, isWritable: isWritable)
        return FileHandle(number: nextHandle)
    }

    mutating func closeHandle(_ handle: FileHandle) {
        guard let file = handles.removeValue(forKey: handle.number) else { return }
        locks[file.node]?[handle.number] = nil
        if !disk.orphans.isEmpty { forgetClosedOrphans() }
    }

    func open(_ handle: FileHandle, _ operation: String) throws(IOFailure) -> OpenFile {
        guard let file = handles[handle.number] else { throw IOFailure(operation, EBADF) }
        return file
    }

    /// An open file, the fault that hits a call on it, and no fault that prevents the call.
    mutating func begin(
        _ call: SimulatedCall,
        _ handle: FileHandle
    ) throws(IOFailure) -> (file: OpenFile, fault: SimulatedFault?) {
        let file = try open(handle, call.rawValue)
        return (file, try begin(call, file.name))
    }

    /// The fault that hits a call; throws when the call is not to do anything.
    mutating func begin(_ call: SimulatedCall, _ name: String) throws(IOFailure) -> SimulatedFault?
    {
        hash.add(call, name)
        let fault = faults.hit(call, name, now: clock?.monotonicNanoseconds ?? 0)
        if let fault, let errno = fault.errno, !fault.takesEffect, fault.bytesDone ?? 0 == 0 {
            hash.add(Int(errno))
            throw IOFailure(call.rawValue, errno)
        }
        return fault
    }

    /// Throws when a call that did its work is to report an error.
    mutating func finish(_ call: SimulatedCall, _ fault: SimulatedFault?) throws(IOFailure) {
        guard let errno = fault?.errno else { return }
        hash.add(Int(errno))
        throw IOFailure(call.rawValue, errno)
    }

    func checkWritable(_ call: SimulatedCall) throws(IOFailure) {
        guard !isReadOnly else { throw IOFailure(call.rawValue, EROFS) }
    }

    /// The sizes of all files that have a name or are open.
    var usedSpace: UInt64 {
        var nodes = Set(handles.values.map(\.node))
        for directory in disk.directories.values { nodes.formUnion(directory.cached.values) }
        return nodes.reduce(0) { $0 + (disk.files[$1]?.cached.size ?? 0) }
    }

    var freeSpace: UInt64 {
        guard space.capacity < .max else { return .max }
        let used = usedSpace
        return used < space.capacity ? space.capacity - used : 0
    }

    /// Whether more was written than there is room for.
    var isOverfull: Bool { space.capacity < .max && usedSpace > space.capacity }

    private mutating func forgetClosedOrphans() {
        let open = Set(handles.values.map(\.node))
        for orphan in disk.orphans.subtracting(open).sorted() { disk.forget(orphan) }
    }
}
