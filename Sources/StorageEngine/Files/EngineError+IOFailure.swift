internal import Glibc

extension EngineError {
    /// The error that a failed system call on a file is reported as.
    package init(_ failure: IOFailure, file: String?, offset: UInt64? = nil) {
        // A quota is a disk of one's own: over it, the cure is the same.
        let isFull = failure.errno == ENOSPC || failure.errno == EDQUOT
        self.init(
            isFull ? .noSpace : .io,
            "\(failure.operation) failed",
            file: file,
            offset: offset,
            errno: failure.errno
        )
    }
}

extension EngineError {
    /// Whether a call of the system failed, so that nothing is known of the bytes.
    var isOfSystem: Bool { code == .io || code == .noSpace }
}

/// Repeats a call that a signal interrupted.
///
/// The limit is far beyond what signals do; it keeps a file system that only ever says EINTR, as a
/// fuse or a simulated one may, from hanging a thread forever.
func uninterrupted<R>(_ call: () throws(IOFailure) -> R) throws(IOFailure) -> R {
    for _ in 0..<1000 {
        do {
            return try call()
        } catch {
            guard error.errno == EINTR else { throw error }
        }
    }
    return try call()
}
