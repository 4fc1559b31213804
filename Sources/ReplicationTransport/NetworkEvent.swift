package import Replication
package import StorageEngine

/// Why a connection ended, or did not come about.
package enum LinkFailure: Error, Hashable, Sendable {
    // What the other side showed, or did not.
    /// It does not speak TLS.
    case plaintext
    case noCertificate
    /// Its certificate is of an authority that is not trusted here.
    case wrongAuthority
    /// Its certificate is over, or its time has not come.
    case expired
    /// Its certificate has none of the names that are allowed, or another member's.
    case wrongName
    /// It speaks no TLS that is new enough.
    case oldTLS
    case handshakeFailed(String)
    /// It says that it is another member than the one that was dialed, or one that nobody knows.
    case wrongMember
    // What it did.
    case slowHandshake
    case tooManyConnections
    case tooManyBytes
    /// More came than this side took.
    case crowded
    /// Nothing came for too long.
    case silent
    case wire(WireFailure)
    // What it says.
    /// It ended the TLS handshake, and says why in an alert.
    case alerted(Alert)
    case rejected(Rejection)
    // The rest.
    case unreachable(String)
    case closed
    /// The member has connected anew.
    case replaced
    case stopping

    /// What the other side did not like about this one.
    package enum Alert: String, Hashable, Sendable {
        case certificateRequired
        case unknownAuthority
        case expired
        case oldTLS
        case other
    }
}

/// What the network does, for people.
package enum NetworkEvent: Hashable, Sendable {
    /// A member was reached, and takes packets.
    case dialed(UniqueID)
    case dialFailed(UniqueID, LinkFailure)
    /// A connection to a member is over; it is dialed again when there is something to send.
    case hungUp(UniqueID, LinkFailure)
    /// A member connected.
    case accepted(UniqueID)
    /// Somebody connected who may not, or did not get so far. The address is theirs.
    case refused(address: String, LinkFailure)
    case lost(UniqueID, LinkFailure)
    /// A packet that no receiver would take.
    case notSent(UniqueID, WireFailure)
    case reloaded
}

/// What went through the network since it was opened.
package struct NetworkCounts: Hashable, Sendable {
    package var sentPackets: UInt64 = 0
    package var sentBytes: UInt64 = 0
    package var receivedPackets: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    /// Packets without a link, or without room in its buffer.
    package var droppedPackets: UInt64 = 0
    package var refusedConnections: UInt64 = 0

    package init() {}
}
