internal import ArgumentParser
internal import Glibc
internal import StorageEngine

// Stands in for the module ToolSupport: exit codes, errors on stderr, the version, stdout.

/// What the tools return to the shell.
enum ToolExit: Int32 {
    case success = 0
    case usage = 1
    case corruption = 2
    case gap = 3
    case inputOutput = 4
    case other = 5
}

/// The version of all tools.
let toolVersion = "0.1.0"

/// A failure of the tool itself: one sentence, and what to return.
struct ToolError: Error {
    let message: String
    let exit: ToolExit

    init(_ message: String, exit: ToolExit = .usage) {
        self.message = message
        self.exit = exit
    }

    /// What a failed system call says.
    static func system(_ doing: String, errno code: Int32) -> ToolError {
        let reason = unsafe String(cString: strerror(code))
        return ToolError("\(doing): \(reason)", exit: .inputOutput)
    }
}

/// Whoever read standard output has closed it.
struct OutputClosed: Error {}

/// Standard output and standard error, unbuffered.
enum ToolOutput {
    static func print(_ text: String) throws {
        try write(text + "\n", to: STDOUT_FILENO)
    }

    /// Writes to standard error; whether that works changes nothing.
    static func complain(_ text: String) {
        do { try write(text + "\n", to: STDERR_FILENO) } catch {}
    }

    static func write(_ text: String, to descriptor: Int32) throws {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { bytes in
                unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
            }
            if count >= 0 {
                rest = rest.dropFirst(count)
            } else if errno == EPIPE {
                throw OutputClosed()
            } else if errno != EINTR {
                throw ToolError.system("writing the output", errno: errno)
            }
        }
    }
}

/// Runs a command: prints what it throws, and returns what the shell is told.
func runTool<Command: ParsableCommand>(_ type: Command.Type) -> ToolExit {
    _ = signal(SIGPIPE, SIG_IGN)
    do {
        var command = try Command.parseAsRoot()
        try command.run()
        return .success
    } catch is OutputClosed {
        return .success
    } catch let error as ToolError {
        ToolOutput.complain("error: \(error.message)")
        return error.exit
    } catch let error as EngineError {
        ToolOutput.complain("error: \(error)")
        return error.toolExit
    } catch {
        return report(error, of: type)
    }
}

private func report<Command: ParsableCommand>(
    _ error: any Error,
    of type: Command.Type
) -> ToolExit {
    guard type.exitCode(for: error) == .success else {
        ToolOutput.complain("error: reading the arguments: \(type.message(for: error))")
        return .usage
    }
    do { try ToolOutput.print(type.fullMessage(for: error)) } catch {}
    return .success
}

extension EngineError {
    fileprivate var toolExit: ToolExit {
        switch code {
        case .corruption, .unsupportedFormat: .corruption
        case .logGap: .gap
        case .io, .noSpace, .indeterminate, .poisoned: .inputOutput
        case .invalidArgument: .usage
        default: .other
        }
    }
}
