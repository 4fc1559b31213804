import Foundation
import StorageEngine
import StorageEngineTestSupport

@testable import ReplicationTransport

/// An authority of its own, with the certificates that it issued; made by the `openssl` tool.
struct TestAuthority {
    struct Failure: Error {
        let command: [String]
        let output: String
    }

    private let directory = TemporaryDirectory()

    init() throws {
        try openssl(
            ["req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=authority"] + Self.newKey
                + ["-keyout", path("ca.key"), "-out", roots]
        )
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]

    var roots: String { path("ca.pem") }

    func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    /// Issues a certificate and a key, or new ones under the same file names.
    func issue(_ file: String, name: String, days: Int = 1) throws {
        let extensions = path("\(file).ext")
        try Data("subjectAltName=\(name)\n".utf8).write(to: URL(fileURLWithPath: extensions))
        try openssl(
            ["req", "-new", "-nodes", "-subj", "/CN=\(file)"] + Self.newKey
                + ["-keyout", path("\(file).key"), "-out", path("\(file).csr")]
        )
        try openssl([
            "x509", "-req", "-in", path("\(file).csr"), "-CA", roots, "-CAkey", path("ca.key"),
            "-CAcreateserial", "-days", "\(days)", "-extfile", extensions, "-out",
            path("\(file).pem"),
        ])
    }

    /// What a member with that certificate believes.
    func files(
        _ file: String,
        roots: String? = nil,
        members: [String: UniqueID]
    ) -> TLSFiles {
        TLSFiles(
            certificateChain: path("\(file).pem"),
            privateKey: path("\(file).key"),
            trustRoots: roots ?? self.roots,
            members: members
        )
    }

    private func openssl(_ arguments: [String]) throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let bytes = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw Failure(command: arguments, output: String(decoding: bytes, as: UTF8.self))
        }
    }
}
