package import ArgumentParser
internal import Glibc
internal import StorageEngine

/// What the tools return to the shell.
package enum ToolExit: Int32 {
    case success = 0
    case usage = 1
    case corruption = 2
    case gap = 3
    case inputOutput = 4
    case other = 5
    /// A key that was asked for is not there.
    case notFound = 6
}

/// The version of all tools.
package let toolVersion = "0.1.0"

/// A failure of the tool itself: one sentence, and what to return.
package struct ToolError: Error {
    package let message: String
    package let exit: ToolExit

    package init(_ message: String, exit: ToolExit = .usage) {
        self.message = message
        self.exit = exit
    }

    /// What a failed system call says.
    package static func system(_ doing: String, errno code: Int32) -> ToolError {
        let reason = unsafe String(cString: strerror(code))
        return ToolError("\(doing): \(reason)", exit: .inputOutput)
    }
}

/// Whoever read standard output has closed it.
package struct OutputClosed: Error {
    package init() {}
}

/// A command that has said all there is to say, and does not succeed.
package struct SilentExit: Error {
    package let exit: ToolExit
    package init(_ exit: ToolExit) { self.exit = exit }
}

/// Standard output and standard error, unbuffered.
package enum ToolOutput {
    package static func print(_ text: String) throws {
        try write(text + "\n", to: STDOUT_FILENO)
    }

    /// Writes to standard error; whether that works changes nothing.
    package static func complain(_ text: String) {
        do { try write(text + "\n", to: STDERR_FILENO) } catch {}
    }

    package static func write(_ text: String, to descriptor: Int32) throws {
        try write(Array(text.utf8)[...], to: descriptor)
    }

    package static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) throws {
        var rest = bytes
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
package func runTool<Command: ParsableCommand>(_ type: Command.Type) -> ToolExit {
    _ = signal(SIGPIPE, SIG_IGN)
    do {
        var command = try Command.parseAsRoot()
        try command.run()
        return .success
    } catch is OutputClosed {
        return .success
    } catch let silent as SilentExit {
        return silent.exit
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
        case .corruption: .corruption
        case .logGap: .gap
        case .io, .noSpace: .inputOutput
        case .invalidArgument: .usage
        default: .other
        }
    }
}
