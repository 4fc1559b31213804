package import ArgumentParser
internal import Glibc
internal import StorageEngine

/// Runs a command: prints what it throws as `error: …` on standard error.
///
/// - Returns: What the shell is told.
package func runTool<Command: ParsableCommand>(_ type: Command.Type) -> ToolExit {
    _ = signal(SIGPIPE, SIG_IGN)
    occupyStandardDescriptors()
    do {
        try checkArguments()
        var command = try Command.parseAsRoot()
        try command.run()
        return .success
    } catch is OutputClosed {
        return .success
    } catch let error as SilentExit {
        return error.exit
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

/// A closed standard descriptor would be given to the next file that is opened, and output be
/// written into it.
private func occupyStandardDescriptors() {
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
        // Writing to what is open for reading fails, so a closed standard output stays one.
        _ = unsafe open("/dev/null", descriptor == STDOUT_FILENO ? O_RDONLY : O_RDWR)
    }
}

/// Arguments are UTF-8. Swift repairs what is not, which would name another key.
private func checkArguments() throws {
    for index in 0..<Int(CommandLine.argc) {
        guard let argument = unsafe CommandLine.unsafeArgv[index] else { continue }
        guard unsafe String(validatingCString: argument) == nil else { continue }
        throw ToolError("reading the arguments: number \(index) is not UTF-8")
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
