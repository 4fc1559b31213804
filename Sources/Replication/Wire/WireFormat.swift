// What goes through a connection between two members. The member that dialed says what it has to
// say on it; the one that accepted answers with its greeting and heartbeats, and has connections of
// its own for what it says.
//
//   stream  := greeting (heartbeat | packet)*     from the one that dialed
//   answer  := greeting heartbeat* | rejection    from the one that accepted
//   packet  := message piece*
//
//   frame   := size      u32, of the body                          (all numbers little-endian)
//              type      u8
//              version   u8, of the protocol; that of a greeting or a rejection is always 1
//              flags     u16, 0
//              checksum  u64, XXH3-64 of the body, seeded with the 8 bytes before
//              body      size bytes
//
//   type       body
//   1  greeting   magic 8 bytes "SEREPL1\n", versionMin u32, versionMax u32, requiredFeatures u64,
//                 ignorableFeatures u64, member id, bodySizeMax u32; more bytes are of later
//                 versions, and ignored
//   2  rejection  reason u8 (`Rejection`); more bytes are ignored
//   3  heartbeat  nothing
//   4  piece      the packet's content goes on
//   16 … 27       a message: fieldsSize u32, payloadSize u64, then as much of the content as fits
//
//   content := fields[fieldsSize] payload[payloadSize]
//
//   16 hello     history id?, member id, role u8, incarnation u64, attempt u64, nonce u64,
//                promised epoch, holder id?, log outline, isAdopting flag
//   17 follow    session u64, after tail, granted u64, needsCopy flag, copy u64?
//   18 take      session u64, copy u64, from u64
//   19 report    session u64, promised epoch, holder id?, granted u64, report[]
//   20 welcome   nonce u64, session u64, history id, leadership, route id[], log outline, course
//   21 pack      session u64, epoch, beginning epoch[], records' epoch, previousSequence u64,
//                hashBefore u64, first u64, last u64, hashAfter u64, size u64,
//                isAwaitedOnDisk flag
//   22 offer     session u64, id u64, kind u8, log outline, partCount u64
//   23 part      session u64, copy u64, index u64, size u64
//   24 beat      session u64, epoch, count u64, leader's tail, route id[]
//   25 refusal   about u64, reason
//   26 consult   history id, nonce u64, epoch?
//   27 answer    nonce u64, granted epoch?, promised epoch, holder id?, isSuspect flag, tail
//
//   id      := high u64, low u64            epoch   := number u64, starter u64
//   tail    := epoch, sequence u64, logHash u64
//   outline := entry[], tail                entry   := epoch, lastSequenceBefore u64, hash u64
//   report  := member id, incarnation u64, epoch, received u64, wal u64, disk u64, applied u64,
//              beat u64
//   leadership := epoch, leader id, foundation tail
//   course  := 0 resume | 1 cut tail | 2 behind | 3 ahead | 4 foreign
//   reason  := 0 wrongStore | 1 fenced epoch id? | 2 notLeader id? | 3 behind tail | 4 ahead tail
//              | 5 diverged | 6 loop | 7 wrongRole | 8 busy | 9 malformed
//   x?      := 0 | 1 x       x[] := count u32, x*       flag := 0 | 1       (0 and 1 are bytes)
//
// (1) Who dials and who accepts both greet, and nothing else is said before. The version is the
//     highest that both know; a required feature that is not known ends the connection.
// (2) A body is no larger than the other side's bodySizeMax, before the greetings than
//     `greetingSizeMax`. A packet whose content does not fit goes on in pieces, none of them empty;
//     only heartbeats may come between.
// (3) The checksum is verified before any field is believed, every size and count before memory is
//     taken. Memory grows with the bytes that came, never with what is announced.
// (4) Equal messages have equal bytes: no byte is left over, no flag is anything but 0 or 1.
// (5) Only a pack and a part have a payload. Its name, which is the host's own, is not sent.
// (6) The checksum finds errors of memory and of middle boxes; against people there is TLS. What a
//     message says is for the core to judge, and what a payload holds is for `PackDecoder`.
//
// `WireFormatTests` pins these bytes; changing them takes a new version.

import StorageEngine

/// Numbers of the protocol between members.
package enum WireFormat {
    /// The versions that are spoken here.
    package static let versions: ClosedRange<UInt32> = 1...1
    package static let magic: UInt64 = 0x0a31_4c50_4552_4553  // "SEREPL1\n"
    package static let frameHeaderSize = 16
    /// Of a message's two sizes before its content.
    package static let messageHeaderSize = 12
    /// What is known here of the features that must be known; none yet.
    package static let knownFeatures: UInt64 = 0
    /// The most bytes of a greeting's or a rejection's body, whatever version made it.
    package static let greetingSizeMax = 256
    /// The most and the least bytes of a body that a side may ask for.
    package static let bodySizes = 1024...4 << 20
    /// The most members of a route, or reports in one message.
    package static let membersMax = 1024
}

/// What a frame is.
package enum FrameType: UInt8, Hashable, Sendable, CaseIterable {
    case greeting = 1
    case rejection = 2
    case heartbeat = 3
    case piece = 4
    case hello = 16
    case follow = 17
    case take = 18
    case report = 19
    case welcome = 20
    case pack = 21
    case offer = 22
    case part = 23
    case beat = 24
    case refusal = 25
    case consult = 26
    case answer = 27

    var isMessage: Bool { rawValue >= FrameType.hello.rawValue }

    var hasPayload: Bool { self == .pack || self == .part }

    /// The most bytes of a message's fields.
    var fieldsSizeMax: Int {
        switch self {
        case .hello, .welcome, .offer: 64 << 10 + LogOutline.entriesMax * EpochEntry.wireSize
        case .pack: 1024 + LogOutline.entriesMax * Epoch.wireSize
        case .report: 1024 + WireFormat.membersMax * MemberReport.wireSize
        case .beat: 1024 + WireFormat.membersMax * UniqueID.wireSize
        default: 1024
        }
    }
}

/// How much a side takes in.
package struct WireLimits: Hashable, Sendable {
    /// The most bytes of a body; what the other side is told.
    package var bodySizeMax = 1 << 20
    /// The most bytes of a payload. The largest record must fit, in packs of any size.
    package var payloadSizeMax = PackFormat.recordSizeMax / 4 * 5

    package init() {}
}

/// Why a connection cannot go on.
package enum WireFailure: Error, Hashable, Sendable {
    /// The first bytes are of something else.
    case notGreeting
    case unsupportedVersions(min: UInt32, max: UInt32)
    case unsupportedFeatures(UInt64)
    case wrongVersion(UInt8)
    case unknownType(UInt8)
    case wrongFlags(UInt16)
    case wrongChecksum
    /// Known, but not at this place.
    case unexpected(FrameType)
    case tooLarge(FrameType, size: UInt64, max: Int)
    /// Its fields are not what its type says.
    case malformed(FrameType)
}

/// Why whoever accepted a connection does not want it.
package enum Rejection: UInt8, Error, Hashable, Sendable {
    /// It understands none of the versions, or not a required feature.
    case unsupported = 1
    /// The member is not one of those that may connect, or not the one that the certificate names.
    case notAllowed = 2
    case tooManyConnections = 3
    /// The member has connected anew.
    case replaced = 4
    /// What came was not of this protocol.
    case malformed = 5
    case stopping = 6
    /// A reason that only later versions know.
    case other = 255
}
