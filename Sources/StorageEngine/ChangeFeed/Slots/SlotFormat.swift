// The file SLOTS: the consumers for whom the log is kept. It is replaced as a whole, durably; a
// store without it has none.
//
//   SLOTS := 0   magic             8 bytes, "SESLOTS\n"                  (numbers little-endian)
//            8   formatVersion     u32, 1
//            12  count             u32, at most 1,000
//            16  requiredFeatures  u64, an unknown bit refuses the file, untouched
//            24  ignorableFeatures u64
//            32  historyID         16 bytes
//            48  slots
//                checksum          u64, XXH3-64 of everything before
//   slot  := nameSize:u8 name, flags:u8 (1 has a log hash, 2 bootstrapping),
//            epoch number:u64, epoch starter:u64, sequence:u64, logHash:u64,
//            creationTime:u64, acknowledgementTime:u64, sizeMax:u64, ageMax:u64
//
// Times are milliseconds, since 1970 where they say when. Slots are sorted by their names, which
// differ.
//
// `SlotFormatTests` pins these bytes.

enum SlotFormat {
    static let countMax = 1000
    private static let magic: UInt64 = 0x0a53_544f_4c53_4553  // "SESLOTS\n"
    private static let version: UInt32 = 1
    private static let hasHash: UInt8 = 1
    private static let isBootstrapping: UInt8 = 2
    /// No file is larger.
    static let sizeMax = 56 + countMax * (Slot.nameSizeMax + 66)

    /// The slots of a store, sorted by name.
    static func read(
        _ directory: StoreDirectory,
        historyID: UniqueID
    ) throws(EngineError) -> [Slot] {
        guard let file = try directory.openIfPresent(.slots, for: .read) else { return [] }
        let bytes = try file.read(count: sizeMax + 1, at: 0)
        return try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try decode(bytes, historyID: historyID)
        }
    }

    static func encode(_ slots: [Slot], historyID: UniqueID) -> ByteBuffer {
        precondition(slots.count <= countMax)
        var buffer = ByteBuffer(capacity: 4096)
        buffer.append(magic)
        buffer.append(version)
        buffer.append(UInt32(slots.count))
        buffer.append(UInt64(0))
        buffer.append(UInt64(0))
        buffer.append(historyID)
        for slot in slots.sorted(by: { $0.name < $1.name }) { append(slot, to: &buffer) }
        buffer.append(Checksum.xxh3(buffer.bytes))
        return buffer
    }

    private static func append(_ slot: Slot, to buffer: inout ByteBuffer) {
        buffer.append(UInt8(slot.name.utf8.count))
        for byte in slot.name.utf8 { buffer.append(byte) }
        buffer.append(
            (slot.position.logHash == nil ? 0 : hasHash)
                | (slot.isBootstrapping ? isBootstrapping : 0)
        )
        let position = slot.position
        buffer.append(position.epoch.number)
        buffer.append(position.epoch.starter)
        buffer.append(position.sequence)
        buffer.append(position.logHash ?? 0)
        buffer.append(slot.creationTime)
        buffer.append(slot.acknowledgementTime)
        buffer.append(slot.limits.size)
        buffer.append(slot.limits.age.milliseconds)
    }

    /// Decodes the file. The bytes come from disk, so every check throws.
    static func decode(
        _ bytes: UnsafeRawBufferPointer,
        historyID: UniqueID
    ) throws(EngineError) -> [Slot] {
        var reader = ByteReader(bytes)
        guard reader.uint64() == magic else { throw corrupt("no magic number", at: 0) }
        guard let found = reader.uint32(), found == version else {
            throw unsupported("another format version than \(version)", at: 8)
        }
        guard let count = reader.uint32(), count <= countMax, let required = reader.uint64(),
            reader.uint64() != nil, let history = reader.uniqueID(), bytes.count >= 8
        else { throw corrupt("cut short", at: 12) }
        let end = bytes.count - 8
        var trailer = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[end...]))
        guard
            trailer.uint64() == Checksum.xxh3(UnsafeRawBufferPointer(rebasing: bytes[..<end]))
        else { throw corrupt("wrong checksum", at: UInt64(end)) }
        guard required == 0 else { throw unsupported("unknown features", at: 16) }
        guard history == historyID else { throw corrupt("slots of history \(history)", at: 32) }
        var slots: [Slot] = []
        for _ in 0..<count {
            guard let slot = Slot(&reader) else {
                throw corrupt("impossible slot", at: UInt64(reader.offset))
            }
            guard slots.last.map({ $0.name < slot.name }) ?? true else {
                throw corrupt("slots out of order", at: UInt64(reader.offset))
            }
            slots.append(slot)
        }
        guard reader.offset == end else { throw corrupt("bytes too many", at: UInt64(end)) }
        return slots
    }

    private static func corrupt(_ what: String, at offset: UInt64) -> EngineError {
        .corruption("reading the slots: \(what)", file: FileName.slots.description, offset: offset)
    }

    private static func unsupported(_ what: String, at offset: UInt64) -> EngineError {
        EngineError(
            .unsupportedFormat,
            "reading the slots: \(what)",
            file: FileName.slots.description,
            offset: offset
        )
    }
}

extension Slot {
    fileprivate init?(_ reader: inout ByteReader) {
        guard let size = reader.byte(), let bytes = reader.bytes(Int(size)),
            let flags = reader.byte(), flags & ~3 == 0, let number = reader.uint64(),
            let starter = reader.uint64(), let sequence = reader.uint64(),
            let hash = reader.uint64(), let creation = reader.uint64(),
            let acknowledgement = reader.uint64(), let sizeMax = reader.uint64(),
            let ageMax = reader.uint64()
        else { return nil }
        let name = String(decoding: bytes, as: UTF8.self)
        guard Self.isValid(name) else { return nil }
        self.init(
            name: name,
            position: Position(
                epoch: Epoch(number: number, starter: starter),
                sequence: sequence,
                logHash: flags & 1 == 0 ? nil : hash
            ),
            limits: SlotLimits(
                size: sizeMax,
                age: .milliseconds(Int64(min(ageMax, UInt64(Int64.max / 1000))))
            ),
            isBootstrapping: flags & 2 != 0,
            creationTime: creation,
            acknowledgementTime: acknowledgement
        )
    }
}

extension Duration {
    /// Whole milliseconds; 0 for less than none, and a bound that adds up to no overflow.
    var milliseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0 else { return 0 }
        let whole = UInt64(min(seconds, Int64.max / 1_000_000)) * 1000
        return whole + UInt64(max(0, attoseconds)) / 1_000_000_000_000_000
    }
}
