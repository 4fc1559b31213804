internal import StorageEngine

// The file MEMBER: what a member of a history remembers besides its log. It is replaced as a whole,
// durably, before anything is said that relies on it.
//
//   MEMBER := 0   magic              8 bytes, "SEMEMBR\n"                (numbers little-endian)
//             8   formatVersion      u32, 1
//             12  size               u32, 184
//             16  requiredFeatures   u64, an unknown bit refuses the member
//             24  ignorableFeatures  u64
//             32  memberID           16 bytes
//             48  storeNumber        u64, of the directory that holds the store; 0: there is none
//             56  storeID            16 bytes, the member id in that store's mark, if flag 8 is set
//             72  historyID          16 bytes, if flag 1 is set
//             88  incarnation        u64, counts the openings
//             96  promised           {number u64, starter u64}
//             112 holder             16 bytes, of the promised epoch, if flag 2 is set
//             128 flags              u32: 1 history, 2 holder, 4 leads, 8 store id, 16 closed
//             132 standing           u32: 0 clear, 1 originated, 2 suspect
//             136 closed             {epoch {number u64, starter u64}, sequence u64, logHash u64},
//                                    where the log ended when the member was closed cleanly
//             168 zeros              8 bytes
//             176 checksum           u64, XXH3-64 of bytes 0..<176
//
// What a flag does not name is zero.
//
// storeNumber: `store-0000000001` in the same directory, and so on. A copy of the leader's state is
// put together under the next number, and becomes the store by this file alone.
//
// storeID: a checkpoint and a backup have a member id of their own. A store with another one than
// this is not the one that the rest of the file speaks of.
//
// `MemberFileTests` pins these bytes.

/// What the file MEMBER holds.
struct MemberRecord: Hashable, Sendable {
    let memberID: UniqueID
    var storeNumber: UInt64 = 0
    var storeID: UniqueID?
    var mark = Mark()
    /// Where the log ended at a clean close; `nil` while the member is open, and after a crash.
    var closed: Tail?

    init(memberID: UniqueID) { self.memberID = memberID }
}

/// Reads and writes the file MEMBER.
enum MemberFile {
    static let size = 184

    private static let preamble = FilePreamble(
        magic: 0x0a52_424d_454d_4553,  // "SEMEMBR\n"
        version: 1,
        headerSize: size,
        knownFeatures: 0,
        kind: "member's mark"
    )

    private struct Flags: OptionSet {
        let rawValue: UInt32
        static let history = Flags(rawValue: 1)
        static let holder = Flags(rawValue: 2)
        static let leads = Flags(rawValue: 4)
        static let store = Flags(rawValue: 8)
        static let closed = Flags(rawValue: 16)
        static let known: Flags = [.history, .holder, .leads, .store, .closed]
    }

    /// What the directory's file holds; `nil` when there is none.
    ///
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`.
    static func read(in directory: StoreDirectory) throws(EngineError) -> MemberRecord? {
        guard let file = try directory.openIfPresent(.member, for: .read) else { return nil }
        return try decode(file.read(count: size + 1, at: 0))
    }

    /// Replaces the directory's file, durable when this returns.
    ///
    /// - Throws: ``EngineError`` with code `io` or `noSpace`: the file holds the old bytes or the
    ///   new ones, whole.
    static func write(
        _ record: MemberRecord,
        in directory: StoreDirectory
    ) throws(EngineError) {
        try directory.durableReplace(.member, contents: encode(record))
    }

    static func encode(_ record: MemberRecord) -> [UInt8] {
        let (mark, closed) = (record.mark, record.closed)
        var flags: Flags = []
        if mark.history != nil { flags.insert(.history) }
        if mark.holder != nil { flags.insert(.holder) }
        if mark.leads { flags.insert(.leads) }
        if record.storeID != nil { flags.insert(.store) }
        if closed != nil { flags.insert(.closed) }
        let zero = UniqueID(high: 0, low: 0)
        var buffer = preamble.begin()
        buffer.append(record.memberID)
        buffer.append(record.storeNumber)
        buffer.append(record.storeID ?? zero)
        buffer.append(mark.history ?? zero)
        buffer.append(mark.incarnation)
        buffer.append(mark.promised.number)
        buffer.append(mark.promised.starter)
        buffer.append(mark.holder ?? zero)
        buffer.append(flags.rawValue)
        buffer.append(UInt32(mark.standing.rawValue))
        buffer.append(closed?.epoch.number ?? 0)
        buffer.append(closed?.epoch.starter ?? 0)
        buffer.append(closed?.sequence ?? 0)
        buffer.append(closed?.logHash ?? 0)
        preamble.finish(&buffer)
        return buffer.contents
    }

    /// The bytes may be hostile.
    static func decode(_ bytes: [UInt8]) throws(EngineError) -> MemberRecord {
        try unsafe bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            let file = FileName.member.description
            var reader = try unsafe preamble.check(bytes, file: file)
            guard let member = reader.uniqueID(), let number = reader.uint64(),
                let storeID = reader.uniqueID(), let history = reader.uniqueID(),
                let incarnation = reader.uint64(), let promised = reader.epoch(),
                let holder = reader.uniqueID(), let bits = reader.uint32(),
                let standing = reader.uint32(), let epoch = reader.epoch(),
                let sequence = reader.uint64(), let logHash = reader.uint64()
            else { throw preamble.corrupt("its size", file, at: 12) }
            let flags = Flags(rawValue: bits)
            guard flags.isSubset(of: .known), let standing = Standing(exactly: standing) else {
                throw preamble.corrupt("impossible flags", file, at: 128)
            }
            guard promised.number < Epoch.numberMax, incarnation < 1 << 63, number < 1 << 32 else {
                throw preamble.corrupt("impossible numbers", file, at: 48)
            }
            var record = MemberRecord(memberID: member)
            record.storeNumber = number
            record.storeID = flags.contains(.store) ? storeID : nil
            record.mark.history = flags.contains(.history) ? history : nil
            record.mark.incarnation = incarnation
            record.mark.promised = promised
            record.mark.holder = flags.contains(.holder) ? holder : nil
            record.mark.leads = flags.contains(.leads)
            record.mark.standing = standing
            let closed = Tail(epoch: epoch, sequence: sequence, logHash: logHash)
            record.closed = flags.contains(.closed) ? closed : nil
            return record
        }
    }
}

extension Standing {
    fileprivate init?(exactly value: UInt32) {
        guard let small = UInt8(exactly: value) else { return nil }
        self.init(rawValue: small)
    }
}

extension ByteReader {
    mutating func epoch() -> Epoch? {
        guard let number = uint64(), let starter = uint64() else { return nil }
        return Epoch(number: number, starter: starter)
    }
}
