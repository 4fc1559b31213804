/// An authority of its own, whose certificates are valid for a day, for measurements and drills;
/// made by the `openssl` tool.
package struct CertificateAuthority: Sendable {
    private let directory: String

    /// Makes the authority's key and certificate in a directory.
    ///
    /// - Returns: `nil` when there is no `openssl`, or it cannot do this.
    /// - Throws: `ToolError` when it cannot be waited for.
    package init?(in directory: String) throws {
        self.directory = directory
        let root = [
            "-keyout", key(of: "authority"), "-out", certificate(of: "authority"),
            "-subj", "/CN=authority",
        ]
        guard try Self.openssl(["req", "-x509", "-nodes", "-days", "1"] + Self.newKey + root)
        else { return nil }
    }

    private static let newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]

    /// The file of the authority's own certificate, which those believe who believe in it.
    package var roots: String { certificate(of: "authority") }

    package func certificate(of name: String) -> String { "\(directory)/\(name).pem" }

    package func key(of name: String) -> String { "\(directory)/\(name).key" }

    /// Issues a certificate; openssl takes the names in it from the request.
    ///
    /// - Parameters:
    ///   - name: Whose it is.
    ///   - addresses: Numeric addresses at which its owner is called.
    /// - Returns: Whether that was possible.
    /// - Throws: `ToolError` when `openssl` cannot be waited for.
    package func issue(_ name: String, addresses: [String] = []) throws -> Bool {
        let names = (["DNS:\(name)"] + addresses.map { "IP:\($0)" }).joined(separator: ",")
        let draft = "\(directory)/\(name).csr"
        let request =
            ["req", "-new", "-nodes", "-subj", "/CN=\(name)"] + Self.newKey + [
                "-addext", "subjectAltName=\(names)", "-keyout", key(of: name), "-out", draft,
            ]
        let certificate = [
            "x509", "-req", "-in", draft, "-CA", roots, "-CAkey", key(of: "authority"),
            "-CAcreateserial", "-days", "1", "-copy_extensions", "copy", "-out",
            certificate(of: name),
        ]
        return try Self.openssl(request) && Self.openssl(certificate)
    }

    private static func openssl(_ arguments: [String]) throws -> Bool {
        try Command.run(["openssl"] + arguments) == 0
    }
}
