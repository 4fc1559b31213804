internal import Glibc
internal import StorageEngine
internal import ToolSupport

@main
enum Main {
    static func main() {
        removeTemporaryDirectoriesOnSignal()
        let code = runTool(EngineBench.self)
        TemporaryDirectory.removeAll()
        exit(code.rawValue)
    }

    /// An interrupted run leaves nothing behind. The signals are blocked before there is another
    /// thread, and taken by one that waits for them.
    private static func removeTemporaryDirectoriesOnSignal() {
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
        let awaited = signals
        let thread = WorkerThread(name: "bench-signals") {
            var number: Int32 = 0
            var awaited = awaited
            unsafe sigwait(&awaited, &number)
            TemporaryDirectory.removeAll()
            _exit(128 + number)
        }
        thread.detach()
    }
}
