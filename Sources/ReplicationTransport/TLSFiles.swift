internal import Glibc
package import NIOSSL
public import StorageEngine

/// Who this member is, and whom it believes.
public struct TLSFiles: Hashable, Sendable {
    /// The certificate with those between it and the authority, PEM.
    public var certificateChain: String
    /// PEM; nobody but its owner may read or change it.
    public var privateKey: String
    /// The authority's own certificates, PEM. No others are trusted, the system's neither.
    public var trustRoots: String
    /// Which member a certificate with this DNS or URI name is. The common name is not looked at.
    public var members: [String: UniqueID]

    /// The paths of the files, and the allow-list.
    public init(
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
        let (chain, key, roots) = try TLSContexts.materials(files)
        var server = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: chain,
            privateKey: key,
            trustRoots: roots
        )
        server.minimumTLSVersion = .tlsv12
        // Names are the allow-list's business: addresses may change.
        server.certificateVerification = .noHostnameVerification
        self.server = try TLSContexts.context(server)
        self.client = try TLSContexts.client((chain, key), roots, .noHostnameVerification)
    }

    /// For somebody who is no member: whoever answers has the name that was asked for.
    ///
    /// - Throws: As ``init(_:)``.
    package static func caller(_ files: TLSFiles) throws(EngineError) -> NIOSSLContext {
        let (chain, key, roots) = try materials(files)
        return try client((chain, key), roots, .fullVerification)
    }

    private static func client(
        _ identity: (chain: [NIOSSLCertificateSource], key: NIOSSLPrivateKeySource),
        _ roots: NIOSSLTrustRoots,
        _ verification: CertificateVerification
    ) throws(EngineError) -> NIOSSLContext {
        var client = TLSConfiguration.makeClientConfiguration()
        client.minimumTLSVersion = .tlsv12
        client.certificateVerification = verification
        client.certificateChain = identity.chain
        client.privateKey = identity.key
        client.trustRoots = roots
        return try context(client)
    }

    private static func materials(
        _ files: TLSFiles
    ) throws(EngineError) -> (
        chain: [NIOSSLCertificateSource], key: NIOSSLPrivateKeySource, roots: NIOSSLTrustRoots
    ) {
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
        return (chain, key, roots)
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
