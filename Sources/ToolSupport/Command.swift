internal import Glibc

/// Other programs.
package enum Command {
    /// Runs a program, looked for as a shell does, and waits for its end; what it prints is of no
    /// interest.
    ///
    /// - Parameter words: Its name and its arguments.
    /// - Returns: Its exit status; `nil` when there is no such program, or a signal ended it.
    /// - Throws: `ToolError` when it cannot be waited for.
    package static func run(_ words: [String]) throws -> Int32? {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for descriptor in [STDOUT_FILENO, STDERR_FILENO] {
            unsafe posix_spawn_file_actions_addopen(
                &actions,
                descriptor,
                "/dev/null",
                O_WRONLY,
                0
            )
        }
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { unsafe arguments.forEach { unsafe free($0) } }
        var child: pid_t = 0
        let code = unsafe posix_spawnp(&child, words[0], &actions, nil, &arguments, environ)
        guard code == 0 else { return nil }
        var status: Int32 = 0
        while unsafe waitpid(child, &status, 0) < 0 {
            guard errno == EINTR else {
                throw ToolError.system("running \(words[0])", errno: errno)
            }
        }
        return status & 0x7f == 0 ? status >> 8 & 0xff : nil
    }
}
