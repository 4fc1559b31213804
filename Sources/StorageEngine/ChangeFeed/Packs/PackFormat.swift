// A pack: records of one history on their way to another node, through a socket, a queue or a base
// copy. The receiver frames them for its own log; nothing of the sender's files is in a pack.
//
//   pack   := header payload                            (all numbers little-endian)
//
//   header := 0   magic              8 bytes, "SEPACK1\n"
//             8   formatVersion      u32, 1
//             12  headerSize         u32, 160
//             16  requiredFeatures   u64, an unknown bit refuses the pack
//             24  ignorableFeatures  u64, unknown bits mean nothing
//             32  historyID          16 bytes, of the log that the records are in
//             48  epoch              {number u64, starter u64}, of all records
//             64  previousSequence   u64, of the record before the first
//             72  firstSequence      u64
//             80  lastSequence       u64
//             88  logHashBefore      u64, with the record before the first
//             96  logHashAfter       u64, with the last record
//             104 flags              u32: 1 stored raw, 2 starts the epoch, 4 part of a record
//             108 recordCount        u32
//             112 rawSize            u64, of the payload
//             120 storedSize         u64, of the payload as it is in the pack
//             128 payloadHash        u64, XXH3-64 of the payload as it is in the pack
//             136 partStart          u64, where in its record a part lies; else 0
//             144 recordSize         u64, of the whole record that this is a part of; else 0
//             152 checksum           u64, XXH3-64 of bytes 0..<152
//
//   payload := record*, as in `Record.swift`, the stamp of the first one relative to 0; one LZ4
//              block of its own, or raw when that is not smaller
//
// (1) The records are whole and consecutive, each names the one before it as its predecessor, and
//     all are of one epoch: a pack ends where an epoch does. The first pack of an epoch says so,
//     and its logHashBefore is that of the epoch before; then the hash begins anew, as in
//     `Record.swift`.
// (2) A pack has a size that its sender and its receiver agreed on, header included, whatever is in
//     it. A record that is too large goes in parts, which are packs of a piece of it, in order; all
//     of them have the sequences and hashes of the whole record. It is handed on as a whole.
// (3) The header's checksum is verified before any field is believed, every size before memory is
//     taken, the payload's hash before it is decoded.
// (4) The proof from end to end: the receiver computes the log hash over all records, from
//     logHashBefore, and hands on none unless it comes to logHashAfter. Whether logHashBefore is
//     the hash of what the receiver has is his to check, as are history, epoch and sequence.
// (5) A part that comes again is passed over, and the first part of another record begins that one,
//     so that a queue may deliver twice. A part that is not the next one is refused.
//
// `PackFormatTests` pins these bytes; changing them takes a new format version.

/// Numbers of the format of packs.
package enum PackFormat {
    package static let version: UInt32 = 1
    package static let headerSize = 160
    /// The most bytes of a pack, unless agreed otherwise.
    package static let sizeMax = 4 << 20
    /// The least that may be agreed on.
    package static let sizeMin = 1024
    /// The most bytes of a record, head included.
    package static let recordSizeMax = RecordHead.encodedSizeMax + Limits.batchSize
    /// A pack of this size holds any record whole.
    package static let wholeSizeMax = headerSize + recordSizeMax
    /// No record is smaller.
    static let recordSizeMin = 4
    /// No stamp is above it: there is always a next one.
    static let stampMax: UInt64 = 1 << 63

    static let magic: UInt64 = 0x0a31_4b43_4150_4553  // "SEPACK1\n"
    static let preamble = FilePreamble(
        magic: magic,
        version: version,
        headerSize: headerSize,
        knownFeatures: 0,
        kind: "pack"
    )
}

/// The header of a pack.
package struct PackHeader: Hashable, Sendable {
    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }

        package static let storedRaw = Flags(rawValue: 1)
        package static let startsEpoch = Flags(rawValue: 2)
        package static let part = Flags(rawValue: 4)
        static let known: Flags = [.storedRaw, .startsEpoch, .part]
    }

    package let historyID: UniqueID
    package let epoch: Epoch
    package var previousSequence: UInt64 = 0
    package var firstSequence: UInt64 = 0
    package var lastSequence: UInt64 = 0
    /// With the record before the first one.
    package var logHashBefore: UInt64 = 0
    /// With the last one.
    package var logHashAfter: UInt64 = 0
    package var flags: Flags = []
    package var recordCount = 0
    package var rawSize = 0
    package var storedSize = 0
    package var payloadHash: UInt64 = 0
    /// Where in its record a part lies, and the size of that record; 0 for whole records.
    package var partStart = 0
    package var recordSize = 0

    package init(historyID: UniqueID, epoch: Epoch) {
        self.historyID = historyID
        self.epoch = epoch
    }

    /// The log hash from which that of the first record is computed.
    var initialHash: UInt64 {
        flags.contains(.startsEpoch)
            ? LogHash.begin(epoch, after: logHashBefore) : logHashBefore
    }

    /// Whether another part is of the same record.
    func isSameRecord(as other: PackHeader) -> Bool {
        historyID == other.historyID && epoch == other.epoch
            && previousSequence == other.previousSequence
            && firstSequence == other.firstSequence && logHashBefore == other.logHashBefore
            && logHashAfter == other.logHashAfter && recordSize == other.recordSize
            && flags.contains(.startsEpoch) == other.flags.contains(.startsEpoch)
    }

    package func encoded() -> ByteBuffer {
        var buffer = PackFormat.preamble.begin()
        buffer.append(historyID)
        buffer.append(epoch.number)
        buffer.append(epoch.starter)
        buffer.append(previousSequence)
        buffer.append(firstSequence)
        buffer.append(lastSequence)
        buffer.append(logHashBefore)
        buffer.append(logHashAfter)
        buffer.append(flags.rawValue)
        buffer.append(UInt32(recordCount))
        buffer.append(UInt64(rawSize))
        buffer.append(UInt64(storedSize))
        buffer.append(payloadHash)
        buffer.append(UInt64(partStart))
        buffer.append(UInt64(recordSize))
        PackFormat.preamble.finish(&buffer)
        return buffer
    }

    /// Decodes a header. The bytes may be hostile.
    ///
    /// - Parameter bytes: As many as a header has, or more.
    /// - Throws: ``EngineError`` with code `corruption` or `unsupportedFormat`.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(EngineError) {
        let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(PackFormat.headerSize))
        var reader = try PackFormat.preamble.check(bytes, file: nil)
        guard let history = reader.uniqueID(), let number = reader.uint64(),
            let starter = reader.uint64(), let previous = reader.uint64(),
            let first = reader.uint64(), let last = reader.uint64(), let before = reader.uint64(),
            let after = reader.uint64(), let flags = reader.uint32(), let count = reader.uint32(),
            let raw = reader.fixedSize(), let stored = reader.fixedSize(),
            let hash = reader.uint64(), let partStart = reader.fixedSize(),
            let recordSize = reader.fixedSize()
        else { throw PackFormat.preamble.corrupt("impossible sizes", nil, at: 112) }
        self.init(historyID: history, epoch: Epoch(number: number, starter: starter))
        previousSequence = previous
        firstSequence = first
        lastSequence = last
        logHashBefore = before
        logHashAfter = after
        self.flags = Flags(rawValue: flags)
        recordCount = Int(count)
        rawSize = raw
        storedSize = stored
        payloadHash = hash
        self.partStart = partStart
        self.recordSize = recordSize
        guard hasPossibleSequences else {
            throw PackFormat.preamble.corrupt("impossible sequences", nil, at: 48)
        }
        guard hasPossibleSizes else {
            throw PackFormat.preamble.corrupt("impossible sizes", nil, at: 104)
        }
    }

    private var hasPossibleSequences: Bool {
        // What is kept in a manifest is bounded there, too.
        epoch.number <= ManifestFormat.numberMax && firstSequence > previousSequence
            && lastSequence >= firstSequence && lastSequence <= ManifestFormat.numberMax
    }

    private var hasPossibleSizes: Bool {
        let isRaw = flags.contains(.storedRaw)
        guard flags.isSubset(of: .known), rawSize > 0, recordCount > 0,
            isRaw ? storedSize == rawSize : storedSize < rawSize,
            // LZ4 expands a byte to at most 255.
            isRaw || rawSize <= 255 * storedSize + 64
        else { return false }
        guard flags.contains(.part) else {
            return partStart == 0 && recordSize == 0
                && recordCount <= rawSize / PackFormat.recordSizeMin
        }
        return recordCount == 1 && firstSequence == lastSequence
            && partStart + rawSize <= recordSize && rawSize < recordSize
    }
}

extension ByteReader {
    /// A size of 64 bits, at most that of a record.
    fileprivate mutating func fixedSize() -> Int? {
        guard let size = uint64(), size <= UInt64(PackFormat.recordSizeMax) else { return nil }
        return Int(size)
    }
}
