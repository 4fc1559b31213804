internal import Synchronization

/// What readers share with those who write, flush and compact: the current view, and up to where it
/// may be read.
///
/// (1) A view is replaced as a whole. Readers enter the gate, load the view, and use it until they
///     leave; cursors keep a reference instead.
/// (2) A reader loads the view first and the visible sequence then: every version in a segment of
///     the view is at or below that sequence, and of each key the newest one is kept.
/// (3) Only the commit role inserts into the active index, and replaces it by a new one.
///
/// Thread safety: ``active`` belongs to the commit role; everything else may be called from any
/// thread.
final class ReadState: @unchecked Sendable {
    let snapshots = SnapshotRegistry()
    let gate = ReadGate()
    /// Every write at or below this sequence is readable. Never goes down.
    private let visible: Atomic<UInt64>

    /// The commit role: the index that takes what is written.
    private(set) var active: MemoryIndex

    /// A retained ``ReadView``; loaded by readers inside the gate.
    private let current: Atomic<UnsafeRawPointer>
    private let now: @Sendable () -> UInt64
    /// Held while a view is replaced.
    private let lock = Lock()

    // The lock.
    private var replaced: [Replaced] = []

    /// A view that was replaced, and when.
    private struct Replaced {
        weak var view: ReadView?
        let time: UInt64
    }

    /// `now`: the monotonic clock, which says since when something is held.
    init(
        lastSequence: UInt64,
        version: Version = .empty,
        now: @escaping @Sendable () -> UInt64 = { 0 }
    ) {
        self.now = now
        visible = Atomic(lastSequence)
        active = MemoryIndex()
        let view = ReadView(active: active, sealed: [], version: version)
        current = Atomic(UnsafeRawPointer(Unmanaged.passRetained(view).toOpaque()))
    }

    deinit {
        let pointer = current.load(ordering: .sequentiallyConsistent)
        Unmanaged<ReadView>.fromOpaque(pointer).release()
    }

    var visibleSequence: UInt64 { visible.load(ordering: .acquiring) }

    /// Makes everything up to a sequence readable.
    func publish(_ sequence: UInt64) { visible.store(sequence, ordering: .releasing) }

    // MARK: - Views

    /// The current view; the caller is inside the gate, and the view is valid until it leaves.
    @inline(__always)
    private var borrowedView: Unmanaged<ReadView> {
        Unmanaged<ReadView>.fromOpaque(current.load(ordering: .sequentiallyConsistent))
    }

    /// The current view, for as long as the caller keeps it.
    var view: ReadView {
        let pass = gate.enter()
        defer { gate.leave(pass) }
        return borrowedView.takeUnretainedValue()
    }

    /// Replaces the view by one that a closure makes of it.
    private func replaceView(_ make: (ReadView) -> ReadView) {
        let time = now()
        // What this may be the last to hold is freed without the lock.
        let (old, _) = lock.with {
            let old = Unmanaged<ReadView>.fromOpaque(current.load(ordering: .relaxed))
            let new = Unmanaged.passRetained(make(old.takeUnretainedValue()))
            current.store(UnsafeRawPointer(new.toOpaque()), ordering: .sequentiallyConsistent)
            let view = old.takeRetainedValue()
            let kept = replaced.map(\.view)
            replaced = zip(replaced, kept).filter { $0.1 != nil }.map(\.0)
            replaced.append(Replaced(view: view, time: time))
            return (view, kept)
        }
        old.noteReplaced()
        gate.retire(old)
    }

    /// The views that were replaced and are still held by readers, and for how long, in
    /// nanoseconds.
    var staleViews: [(view: ReadView, age: UInt64)] {
        let time = now()
        return lock.with {
            replaced.compactMap { entry in
                entry.view.map { ($0, time > entry.time ? time - entry.time : 0) }
            }
        }
    }

    /// Seals the active index and goes on with a new one. Needs the commit role.
    ///
    /// - Returns: The sealed index.
    func seal() -> MemoryIndex {
        let sealed = active
        let fresh = MemoryIndex()
        replaceView { view in
            ReadView(active: fresh, sealed: [sealed] + view.sealed, version: view.version)
        }
        active = fresh
        return sealed
    }

    /// Puts a new version in place, which has what a flushed index held.
    func install(_ version: Version, without flushed: MemoryIndex?) {
        replaceView { view in
            ReadView(
                active: view.active,
                sealed: view.sealed.filter { $0 !== flushed },
                version: version
            )
        }
    }

    // MARK: - Snapshots

    /// Registers the latest state and returns its sequence.
    func registerSnapshot() -> UInt64 { snapshots.register(now: now()) { visibleSequence } }

    /// What an insert must leave for those who read.
    var retention: MemoryIndex.Retention {
        MemoryIndex.Retention(visible: visibleSequence, registered: snapshots.registered)
    }

    // MARK: - Lookup

    /// What a lookup came to.
    enum Lookup: ~Copyable {
        case found(PinnedValue)
        /// The key is absent or deleted.
        case absent
        /// Only memory was to be asked, and it has not all that is needed.
        case notCached

        /// Calls a closure with the value that was found, in place.
        consuming func read(_ body: (Span<UInt8>) -> Void) {
            switch consume self {
            case .found(let value): value.read(body)
            case .absent: return
            case .notCached: preconditionFailure("files may be read")
            }
        }
    }

    /// The newest value of a key.
    func latest(
        _ key: UnsafeRawBufferPointer,
        _ access: Segment.Access = .any
    ) throws(EngineError) -> Lookup {
        let pass = gate.enter()
        let view = borrowedView
        do throws(EngineError) {
            let lookup = view._withUnsafeGuaranteedRef { view in
                Result { () throws(EngineError) in try latest(key, in: view, access) }
            }
            return pin(try lookup.get(), pass)
        } catch {
            gate.leave(pass)
            throw error
        }
    }

    private func latest(
        _ key: UnsafeRawBufferPointer,
        in view: ReadView,
        _ access: Segment.Access
    ) throws(EngineError) -> Segment.Lookup {
        var sequence = visibleSequence
        while true {
            let found = view.active.find(key, at: sequence)
            let latest = found.sawNewer ? visibleSequence : sequence
            guard latest != sequence else {
                if let version = found.version { return .found(Segment.Found(version)) }
                if found.rangeTombstone > 0 { return .absent }
                return try view.findBehindActive(key, at: sequence, access)
            }
            // A writer has published since we looked, so it may have unlinked what was visible
            // then: what we found may be a version that is kept for an older snapshot, or nothing.
            sequence = latest
        }
    }

    /// A key's value at a registered sequence.
    func value(
        _ key: UnsafeRawBufferPointer,
        at sequence: UInt64,
        _ access: Segment.Access = .any
    ) throws(EngineError) -> Lookup {
        let pass = gate.enter()
        let view = borrowedView
        do throws(EngineError) {
            let lookup = view._withUnsafeGuaranteedRef { view in
                Result { () throws(EngineError) in
                    let found = view.active.find(key, at: sequence)
                    if let version = found.version {
                        return Segment.Lookup.found(Segment.Found(version))
                    }
                    if found.rangeTombstone > 0 { return .absent }
                    return try view.findBehindActive(key, at: sequence, access)
                }
            }
            return pin(try lookup.get(), pass)
        } catch {
            gate.leave(pass)
            throw error
        }
    }

    /// Keeps what was found readable, or leaves the gate.
    private func pin(_ lookup: Segment.Lookup, _ pass: ReadGate.Pass) -> Lookup {
        switch lookup {
        case .found(let found) where found.flags & VersionFlags.tombstone == 0:
            return .found(
                PinnedValue(bytes: found.value, owner: found.owner, gate: gate, pass: pass)
            )
        case .found, .absent:
            gate.leave(pass)
            return .absent
        case .notCached:
            gate.leave(pass)
            return .notCached
        }
    }
}

/// A value in an index or in a block, which stays there as long as this does.
struct PinnedValue: ~Copyable {
    let bytes: UnsafeRawBufferPointer
    /// The block that holds the value; `nil` when an index does, which the gate keeps.
    private let owner: Block?
    private let gate: ReadGate
    private let pass: ReadGate.Pass

    init(bytes: UnsafeRawBufferPointer, owner: Block?, gate: ReadGate, pass: ReadGate.Pass) {
        self.bytes = bytes
        self.owner = owner
        self.gate = gate
        self.pass = pass
    }

    deinit { gate.leave(pass) }

    /// Calls a closure with the value. (An unwrapped optional with a span, in place of this, is
    /// moved to the heap, which costs a lookup a tenth of its time.)
    borrowing func read(_ body: (Span<UInt8>) -> Void) {
        body(Span(_unsafeElements: bytes.bindMemory(to: UInt8.self)))
    }
}
