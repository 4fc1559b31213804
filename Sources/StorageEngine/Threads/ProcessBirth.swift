internal import Glibc
internal import Synchronization

/// Which process this is, among those that were forked one from another: a child has the memory of
/// its parent, but none of its threads, and shares its files and their lock.
///
/// Thread safety: immutable.
struct ProcessBirth: Sendable {
    private static let forks = Atomic<UInt64>(0)
    private static let isWatched: Bool = {
        pthread_atfork(nil, nil, { ProcessBirth.forks.wrappingAdd(1, ordering: .relaxed) }) == 0
    }()

    private let fork: UInt64

    /// That of the process that calls.
    init() {
        precondition(Self.isWatched, "pthread_atfork failed")
        fork = Self.forks.load(ordering: .relaxed)
    }

    /// Whether the process that calls is the one that made this. Costs one load, where asking for
    /// the process's number takes a system call.
    var isThisProcess: Bool { Self.forks.load(ordering: .relaxed) == fork }
}
