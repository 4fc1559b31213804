internal import Glibc
internal import StorageEngine
internal import Synchronization
internal import ToolSupport

/// Whether the user wants the tool to end, by SIGINT or SIGTERM.
///
/// The signals are blocked before the engine starts its threads, and taken by a thread that waits
/// for them; a pipe wakes whoever waits for input.
enum Interruption {
    private static let requested = Atomic(false)
    private static let watched = Atomic<Int32>(-1)

    static var isRequested: Bool { requested.load(ordering: .acquiring) }

    /// Begins to take signals. Those behind the first change nothing: some senders send two.
    static func watch() throws {
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else {
            throw ToolError.system("making a pipe", errno: errno)
        }
        let (reading, writing) = (ends[0], ends[1])
        watched.store(reading, ordering: .releasing)
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        let awaited = signals
        let thread = WorkerThread(name: "ctl-signals") {
            var (number, awaited): (Int32, sigset_t) = (0, awaited)
            unsafe sigwait(&awaited, &number)
            requested.store(true, ordering: .releasing)
            close(writing)
        }
        thread.detach()
    }

    /// Waits until a descriptor can be read, or has ended.
    ///
    /// - Returns: `false` when the user wants the tool to end.
    static func wait(toRead descriptor: Int32) -> Bool {
        let watched = watched.load(ordering: .acquiring)
        guard watched >= 0 else { return true }
        var descriptors = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: watched, events: Int16(POLLIN), revents: 0),
        ]
        while unsafe poll(&descriptors, 2, -1) < 0, errno == EINTR {}
        return !isRequested
    }
}
