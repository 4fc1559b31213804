internal import CEngineSystem
internal import Glibc

/// A thread of the engine's own, for work that may block.
///
/// Thread safety: either `join` or `detach` is called, once.
package final class WorkerThread: @unchecked Sendable {
    private var thread = pthread_t()

    /// Starts a thread that runs a closure once. The name has at most 15 bytes.
    package init(name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body)).toOpaque()
        let code = pthread_create(
            &thread,
            nil,
            { pointer in
                guard let pointer else { return nil }
                let start = Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue()
                csystem_name_thread(start.name)
                start.body()
                return nil
            },
            start
        )
        precondition(code == 0, "cannot start a thread, errno \(code)")
    }

    /// Waits until the thread has ended.
    package func join() { pthread_join(thread, nil) }

    /// Lets the thread end on its own; it is not joined then.
    package func detach() { pthread_detach(thread) }

    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }
}
