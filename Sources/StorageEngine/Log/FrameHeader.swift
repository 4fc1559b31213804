/// The header of a frame; the bytes are specified in `LogFormat.swift`.
package struct FrameHeader: Hashable, Sendable {
    package struct Flags: OptionSet, Hashable, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        package static let storedRaw = Flags(rawValue: 1)
        package static let restart = Flags(rawValue: 2)
        package static let syncMarker = Flags(rawValue: 4)
        package static let seal = Flags(rawValue: 8)
        package static let large = Flags(rawValue: 16)
        static let known: Flags = [.storedRaw, .restart, .syncMarker, .seal, .large]
    }

    package var flags: Flags
    package var payloadHash: UInt64
    package var storedSize: Int
    package var rawSize: Int
    /// The last sequence before the frame.
    package var previousSequence: UInt64
    /// Equal to ``previousSequence`` when the frame has no records.
    package var firstSequence: UInt64
    package var lastSequence: UInt64
    /// A length of the file that was synced when the frame was built, a multiple of 8.
    package var syncedThrough: UInt64
    /// The log hash before the frame; only restart and seal frames have it.
    package var logHash: UInt64?

    package static let encodedSizeMax = 71
    static let encodedSizeMin = 20

    /// The largest payload a frame may have in the file: one batch and its record's head.
    static let payloadSizeMax = Limits.batchSize + RecordHead.encodedSizeMax

    package var hasRecords: Bool { firstSequence > previousSequence }

    /// Writes the header and returns its size; the target has ``encodedSizeMax`` bytes.
    package func encode(
        to target: UnsafeMutableRawPointer,
        at offset: UInt64,
        seed: UInt64,
        base: UInt64
    ) -> Int {
        precondition(logHash != nil || flags.isDisjoint(with: [.restart, .seal]))
        target.storeBytes(of: flags.rawValue, toByteOffset: 5, as: UInt8.self)
        target.storeBytes(of: payloadHash.littleEndian, toByteOffset: 6, as: UInt64.self)
        var size = 14
        size += Varint.encode(UInt64(storedSize), to: target + size)
        size += Varint.encode(UInt64(rawSize), to: target + size)
        size += Varint.encode(previousSequence - base, to: target + size)
        size += Varint.encode(firstSequence - previousSequence, to: target + size)
        size += Varint.encode(lastSequence - firstSequence, to: target + size)
        size += Varint.encode((offset - syncedThrough) / 8, to: target + size)
        if let logHash {
            (target + size).storeBytes(of: logHash.littleEndian, as: UInt64.self)
            size += 8
        }
        target.storeBytes(of: UInt8(size), toByteOffset: 4, as: UInt8.self)
        let check = Self.check(UnsafeRawPointer(target), size: size, at: offset, seed: seed)
        target.storeBytes(of: check.littleEndian, as: UInt32.self)
        return size
    }
}

extension FrameHeader {
    /// Decodes the header at an offset of a file, `nil` when there is none.
    ///
    /// - Parameters:
    ///   - bytes: The bytes from the offset on, hostile; a whole header needs up to
    ///     ``encodedSizeMax`` of them.
    ///   - offset: Where in the file the bytes are.
    ///   - seed: What binds frames to the file.
    ///   - base: The last sequence of the file's predecessor.
    ///   - headerSize: Set to the size of the header.
    package init?(
        decoding bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        seed: UInt64,
        base: UInt64,
        headerSize: inout Int
    ) {
        guard bytes.count >= Self.encodedSizeMin, let start = bytes.baseAddress else { return nil }
        let size = Int(bytes[4])
        guard size >= Self.encodedSizeMin, size <= Self.encodedSizeMax, size <= bytes.count,
            Self.check(start, size: size, at: offset, seed: seed)
                == UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))
        else { return nil }
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[5..<size]))
        guard let flags = reader.byte().map(Flags.init), flags.isSubset(of: .known),
            let hash = reader.uint64(), let stored = reader.size(max: Self.payloadSizeMax),
            let raw = reader.size(max: Self.payloadSizeMax), let previousDelta = reader.varint(),
            let firstDelta = reader.varint(), let lastDelta = reader.varint(),
            let unsynced = reader.varint(), unsynced <= offset / 8
        else { return nil }
        let hasHash = !flags.isDisjoint(with: [.restart, .seal])
        let logHash = hasHash ? reader.uint64() : nil
        guard hasHash == (logHash != nil), reader.remaining == 0 else { return nil }
        let (previous, overflow1) = base.addingReportingOverflow(previousDelta)
        let (first, overflow2) = previous.addingReportingOverflow(firstDelta)
        let (last, overflow3) = first.addingReportingOverflow(lastDelta)
        guard !overflow1, !overflow2, !overflow3, firstDelta > 0 || lastDelta == 0 else {
            return nil
        }
        headerSize = size
        self.init(
            flags: flags,
            payloadHash: hash,
            storedSize: stored,
            rawSize: raw,
            previousSequence: previous,
            firstSequence: first,
            lastSequence: last,
            syncedThrough: offset - unsynced * 8,
            logHash: logHash
        )
    }

    fileprivate static func check(
        _ start: UnsafeRawPointer,
        size: Int,
        at offset: UInt64,
        seed: UInt64
    ) -> UInt32 {
        let covered = UnsafeRawBufferPointer(start: start + 4, count: size - 4)
        return UInt32(truncatingIfNeeded: Checksum.xxh3(covered, seed: seed &+ offset))
    }
}
