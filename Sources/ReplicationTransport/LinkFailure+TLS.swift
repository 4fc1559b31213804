internal import Glibc
internal import NIOSSL

extension LinkFailure {
    /// What an error of the TLS library means. It tells the reason in its text only.
    init(_ error: any Error, peer certificate: NIOSSLCertificate?) {
        if let failure = error as? LinkFailure {
            self = failure
            return
        }
        guard let error = error as? NIOSSLError else {
            self = error is BoringSSLError ? LinkFailure(text: "\(error)", certificate) : .closed
            return
        }
        switch error {
        case .handshakeFailed: self = LinkFailure(text: "\(error)", certificate)
        case .uncleanShutdown: self = .closed
        default: self = .handshakeFailed("\(error)")
        }
    }

    private init(text: String, _ certificate: NIOSSLCertificate?) {
        let found = LinkFailure.reasons.first { text.contains($0.text) }?.failure
        switch found {
        case .wrongAuthority:
            let now = time(nil)
            let isInTime = certificate.map { $0.notValidBefore <= now && now <= $0.notValidAfter }
            self = isInTime == false ? .expired : .wrongAuthority
        case let found?: self = found
        case nil where text.contains("EOF during handshake"): self = .closed
        case nil: self = .handshakeFailed(text)
        }
    }

    private static let reasons: [(text: String, failure: LinkFailure)] = [
        ("CERTIFICATE_VERIFY_FAILED", .wrongAuthority),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", .noCertificate),
        ("UNSUPPORTED_PROTOCOL", .oldTLS),
        ("WRONG_VERSION_NUMBER", .plaintext),
        ("ALERT_CERTIFICATE_REQUIRED", .alerted(.certificateRequired)),
        ("ALERT_HANDSHAKE_FAILURE", .alerted(.other)),
        ("ALERT_CERTIFICATE_EXPIRED", .alerted(.expired)),
        ("ALERT_UNKNOWN_CA", .alerted(.unknownAuthority)),
        ("ALERT_PROTOCOL_VERSION", .alerted(.oldTLS)),
        ("_ALERT_", .alerted(.other)),
    ]
}
