internal import Glibc
package import NIOSSL
package import StorageEngine

/// Who this member is, and whom it believes.
package struct TLSFiles: Hashable, Sendable {
    /// The certificate with those between it and the authority, PEM.
    package var certificateChain: String
    /// PEM; nobody but its owner may read or change it.
    package var privateKey: String
    /// The authority's own certificates, PEM. No others are trusted, the system's neither.
    package var trustRoots: String
    /// Which member a certificate with this DNS or URI name is. The common name is not looked at.
    package var members: [String: UniqueID]

    package init(
        certificateChain: String,
        privateKey: String,
        trustRoots: String,
        members: [String: UniqueID]
    ) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.trustRoots = trustRoots
        self.members = members
    }
}

/// What the files say, for new connections.
package struct TLSContexts: Sendable {
    package let server: NIOSSLContext
    package let client: NIOSSLContext

    /// - Throws: `invalidArgument` for files that hold something else, `io` for a file that cannot
    ///   be read or a key that others may read.
    package init(_ files: TLSFiles) throws(EngineError) {
        try TLSContexts.checkMode(of: files.privateKey)
        let chain = try TLSContexts.certificates(files.certificateChain).map {
            NIOSSLCertificateSource.certificate($0)
        }
        let roots = NIOSSLTrustRoots.certificates(try TLSContexts.certificates(files.trustRoots))
        let key = try TLSContexts.read("private key", files.privateKey) {
            NIOSSLPrivateKeySource.privateKey(
                try NIOSSLPrivateKey(file: files.privateKey, format: .pem)
            )
        }
        var server = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: chain,
            privateKey: key,
            trustRoots: roots
        )
        server.minimumTLSVersion = .tlsv12
        // Names are the allow-list's business: addresses may change.
        server.certificateVerification = .noHostnameVerification
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv12
        client.certificateVerification = .noHostnameVerification
        client.certificateChain = chain
        client.privateKey = key
        client.trustRoots = roots
        self.server = try TLSContexts.context(server)
        self.client = try TLSContexts.context(client)
    }

    private static func context(
        _ configuration: TLSConfiguration
    ) throws(EngineError) -> NIOSSLContext {
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw .invalidArgument("the certificate and the private key do not fit: \(error)")
        }
    }

    private static func certificates(_ path: String) throws(EngineError) -> [NIOSSLCertificate] {
        let certificates = try read("certificates", path) {
            try NIOSSLCertificate.fromPEMFile(path)
        }
        guard !certificates.isEmpty else {
            throw .invalidArgument("reading certificates: there are none in \(path)")
        }
        return certificates
    }

    private static func read<Value>(
        _ what: String,
        _ path: String,
        _ body: () throws -> Value
    ) throws(EngineError) -> Value {
        do {
            return try body()
        } catch {
            throw EngineError(.invalidArgument, "reading \(what): \(error)", file: path)
        }
    }

    private static func checkMode(of path: String) throws(EngineError) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            throw EngineError(.io, "reading a private key", file: path, errno: errno)
        }
        guard status.st_mode & 0o077 == 0 else {
            throw EngineError(
                .invalidArgument,
                "a private key is for its owner alone: its mode must be 0600 or less",
                file: path
            )
        }
    }
}

extension NIOSSLCertificate {
    /// The DNS and URI names of the certificate.
    package var names: [String] {
        _subjectAlternativeNames().compactMap { name in
            guard name.nameType == .dnsName || name.nameType == .uri else { return nil }
            return String(validating: Array(name.contents), as: UTF8.self)
        }
    }
}
