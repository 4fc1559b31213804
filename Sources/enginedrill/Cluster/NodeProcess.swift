import Foundation
import Glibc
import ToolSupport

/// One `enginenode` that runs, or ran.
///
/// Thread safety: every method may be called from any thread.
final class NodeProcess: Sendable {
    /// How long a node may take until it serves, in milliseconds.
    private static let startTime: Int32 = 60_000

    /// Where it serves HTTP, and where the other members reach it.
    let httpPort, memberPort: Int
    private let process: Process
    private let output: Pipe

    /// Starts a node and waits until it serves.
    ///
    /// - Parameters:
    ///   - words: The command that runs `enginenode`, which must become the same process.
    ///   - environment: Its configuration.
    ///   - log: The file to which its standard error is appended.
    /// - Throws: `ToolError` when it does not come to serve.
    init(
        _ words: [String],
        environment: [String: String],
        log: String
    ) throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = output
        process.standardError = try NodeProcess.appending(to: log)
        try process.run()
        self.process = process
        self.output = output
        do {
            let line = try NodeProcess.firstLine(of: output)
            let form = /serving https?:\/\/[^:]+:(\d+)\/, members at [^:]+:(\d+)/
            guard let match = line.wholeMatch(of: form), let http = Int(match.1),
                let member = Int(match.2)
            else { throw ToolError("starting a node: it says \"\(line)\"", exit: .other) }
            (httpPort, memberPort) = (http, member)
        } catch {
            process.terminate()
            Glibc.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            throw error
        }
    }

    private static func appending(to path: String) throws -> FileHandle {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw ToolError.system("opening \(path)", errno: errno) }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// The first line, without its end.
    private static func firstLine(of pipe: Pipe) throws -> String {
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        var line: [UInt8] = []
        while true {
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = unsafe Glibc.poll(&poll, 1, startTime)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                throw ToolError("starting a node: it does not serve in time", exit: .other)
            }
            var byte: UInt8 = 0
            guard unsafe read(descriptor, &byte, 1) == 1 else {
                throw ToolError("starting a node: it ended at once", exit: .other)
            }
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
    }

    var isRunning: Bool { process.isRunning }

    /// Ends it as the death of a process does.
    func kill() {
        signal(SIGKILL)
        process.waitUntilExit()
    }

    /// Holds it, whatever it is doing.
    func pause() { signal(SIGSTOP) }

    func resume() { signal(SIGCONT) }

    /// Asks it to end, and waits until it has; returns its exit status, `nil` for a signal.
    func terminate() -> Int32? {
        signal(SIGTERM)
        process.waitUntilExit()
        return process.terminationReason == .exit ? process.terminationStatus : nil
    }

    private func signal(_ number: Int32) {
        guard process.isRunning else { return }
        Glibc.kill(process.processIdentifier, number)
    }
}
