internal import Glibc

/// Standard output and standard error, unbuffered.
package enum ToolOutput {
    /// Writes a line to standard output.
    ///
    /// - Throws: ``OutputClosed``, or ``ToolError`` when it cannot be written.
    package static func print(_ text: String) throws {
        try write(text + "\n", to: STDOUT_FILENO)
    }

    /// Writes a line to standard error; whether that works changes nothing.
    package static func complain(_ text: String) {
        do { try write(text + "\n", to: STDERR_FILENO) } catch {}
    }

    /// Waits while there is nothing to write.
    ///
    /// - Throws: ``OutputClosed`` as soon as nobody reads standard output any more.
    package static func pause(milliseconds: Int32) throws {
        var output = pollfd(fd: STDOUT_FILENO, events: 0, revents: 0)
        guard unsafe poll(&output, 1, milliseconds) > 0 else { return }
        throw OutputClosed()
    }

    package static func write(_ text: String, to descriptor: Int32) throws {
        try write(Array(text.utf8), to: descriptor)
    }

    /// Writes all bytes to a descriptor, standard output by default.
    package static func write(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) throws {
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe Glibc.write(
                    descriptor,
                    bytes.baseAddress.map { unsafe $0 + done },
                    bytes.count - done
                )
            }
            if count >= 0 {
                done += count
            } else if errno == EPIPE || (errno == EBADF && descriptor == STDOUT_FILENO) {
                throw OutputClosed()
            } else if errno != EINTR {
                throw ToolError.system("writing the output", errno: errno)
            }
        }
    }
}
