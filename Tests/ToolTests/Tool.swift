import Foundation

/// A run of a built tool, and what it left behind.
struct Tool {
    let status: Int32
    let bytes: Data
    let errors: String

    var output: String { String(decoding: bytes, as: UTF8.self) }
    /// The lines of text.
    var lines: [String] { output.split(separator: "\n").map(String.init) }

    /// Runs a tool beside the test's own executable, and gives it a file as standard input.
    init(
        _ name: String,
        _ arguments: [String],
        input: Data = Data(),
        in scratch: ScratchDirectory
    ) throws {
        let process = Self.process(name, arguments)
        let inputPath = scratch.path + "/" + UUID().uuidString
        try input.write(to: URL(fileURLWithPath: inputPath))
        process.standardInput = try FileHandle(
            forReadingFrom: URL(fileURLWithPath: inputPath)
        )
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // What is said on standard error is short, and fits into its pipe meanwhile.
        bytes = output.fileHandleForReading.readDataToEndOfFile()
        self.errors = String(
            decoding: errors.fileHandleForReading.readDataToEndOfFile(),
            as: UTF8.self
        )
        process.waitUntilExit()
        status = process.terminationStatus
        try FileManager.default.removeItem(atPath: inputPath)
    }

    /// The tool, not yet running.
    static func process(_ name: String, _ arguments: [String]) -> Process {
        let process = Process()
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.executableURL = own.deletingLastPathComponent().appending(path: name)
        process.arguments = arguments
        return process
    }

    /// The first line, as a JSON object.
    func object() throws -> [String: Any] {
        guard let line = lines.first else { return [:] }
        return try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] ?? [:]
    }
}

/// A directory that is removed with its last owner.
final class ScratchDirectory {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/tool-tests-" + UUID().uuidString
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700]
        )
    }

    deinit { do { try FileManager.default.removeItem(atPath: path) } catch {} }

    func names(in child: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: path + "/" + child).sorted()
    }

    func write(_ data: Data, to name: String) throws -> String {
        try data.write(to: URL(fileURLWithPath: path + "/" + name))
        return path + "/" + name
    }
}

/// Runs enginectl on a store in a directory of its own.
struct Ctl {
    let scratch: ScratchDirectory
    var store: String { scratch.path + "/store" }

    init() throws { scratch = try ScratchDirectory() }

    func callAsFunction(
        _ arguments: String...,
        input: String = "",
        store: String? = nil
    ) throws -> Tool {
        try Tool(
            "enginectl",
            ["--db", store ?? self.store] + arguments,
            input: Data(input.utf8),
            in: scratch
        )
    }

    func imports(_ data: Data, _ arguments: String..., store: String? = nil) throws -> Tool {
        try Tool(
            "enginectl",
            ["--db", store ?? self.store, "import"] + arguments,
            input: data,
            in: scratch
        )
    }
}
