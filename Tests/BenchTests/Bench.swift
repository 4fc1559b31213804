import Foundation

/// A run of the built tool, and what it left behind.
struct Bench {
    let status: Int32
    let output: String
    let errors: String

    /// Runs the tool beside the test's own executable; its temporary files go to a directory.
    init(_ arguments: [String], temporary: ScratchDirectory) throws {
        let process = Process()
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.executableURL = own.deletingLastPathComponent().appending(path: "enginebench")
        process.arguments = arguments
        process.environment = ["TMPDIR": temporary.path]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // What is said on standard error is short, and fits into its pipe meanwhile.
        self.output = Self.text(output)
        self.errors = Self.text(errors)
        process.waitUntilExit()
        status = process.terminationStatus
    }

    private static func text(_ pipe: Pipe) -> String {
        String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    }

    /// The lines of JSON, the one with the settings first.
    func lines() throws -> [[String: Any]] {
        try output.split(separator: "\n").compactMap { line in
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        }
    }

    /// The lines behind the settings.
    func rows() throws -> [[String: Any]] { try Array(lines().dropFirst()) }
}

/// A directory that is removed with its last owner.
final class ScratchDirectory {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/bench-tests-" + UUID().uuidString
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
}
