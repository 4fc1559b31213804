/// Packs records.
///
/// ```swift
/// encoder.begin(epoch, startsEpoch: true, after: 0, logHash: 0)
/// for record in records { try encoder.add(record.head, record.operations, send) }
/// try encoder.finish(send)
/// ```
///
/// Packs are handed to a closure as they become full, borrowed until it returns. When that throws,
/// the encoder has to begin again.
///
/// Thread safety: none; one owner.
package struct PackEncoder: ~Copyable {
    private let historyID: UniqueID
    private let payloadMax: Int

    private var header: PackHeader
    /// The records so far, the log hash with the last of them, and its stamp.
    private var raw = ByteBuffer()
    private var logHash: UInt64 = 0
    private var lastStamp: UInt64 = 0
    private var stored = ByteBuffer()
    private var output = ByteBuffer()

    /// - Parameters:
    ///   - historyID: Of the log that the records are in.
    ///   - sizeMax: The most bytes of a pack, header included.
    package init(historyID: UniqueID, sizeMax: Int = PackFormat.sizeMax) {
        precondition(sizeMax >= PackFormat.sizeMin && sizeMax <= PackFormat.wholeSizeMax)
        self.historyID = historyID
        payloadMax = sizeMax - PackFormat.headerSize
        header = PackHeader(historyID: historyID, epoch: .none)
    }

    /// Bytes of records that wait for a pack to become full.
    package var waitingSize: Int { raw.count }

    /// Begins behind a record. What waits must have been finished, and an epoch is begun by this.
    ///
    /// - Parameters:
    ///   - epoch: The epoch of the records that come.
    ///   - startsEpoch: Whether the next record is the first of its epoch.
    ///   - sequence: That of the record before.
    ///   - logHash: The log hash with the record before.
    package mutating func begin(
        _ epoch: Epoch,
        startsEpoch: Bool,
        after sequence: UInt64,
        logHash: UInt64
    ) {
        precondition(raw.count == 0, "records wait to be packed")
        header = PackHeader(historyID: historyID, epoch: epoch)
        header.previousSequence = sequence
        header.lastSequence = sequence
        header.logHashBefore = logHash
        if startsEpoch { header.flags = .startsEpoch }
        self.logHash = header.initialHash
    }

    /// Adds the next record; packs that are full are handed on.
    package mutating func add<E: Error>(
        _ head: RecordHead,
        _ operations: UnsafeRawBufferPointer,
        _ emit: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        precondition(head.previousSequence == header.lastSequence, "records are consecutive")
        if raw.count + RecordHead.encodedSizeMax + operations.count > payloadMax {
            try finish(emit)
        }
        let size = head.encode(
            to: raw.reserve(RecordHead.encodedSizeMax),
            previousStamp: header.recordCount == 0 ? 0 : lastStamp,
            operationsSize: operations.count
        )
        raw.advance(by: size)
        logHash = LogHash.next(logHash, head, digest: LogHash.digest(operations))
        if header.recordCount == 0 { header.firstSequence = head.sequence }
        header.recordCount += 1
        header.lastSequence = head.sequence
        header.logHashAfter = logHash
        lastStamp = head.stamp
        if raw.count + operations.count <= payloadMax {
            raw.append(operations)
        } else {
            try emitParts(operations, emit)
        }
    }

    /// Hands on what waits, also when it does not fill a pack.
    package mutating func finish<E: Error>(
        _ emit: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        guard raw.count > 0 else { return }
        encode(raw.bytes, header)
        goOn()
        try emit(output.bytes)
    }

    /// Hands on a record, whose head waits, in parts.
    private mutating func emitParts<E: Error>(
        _ operations: UnsafeRawBufferPointer,
        _ emit: (UnsafeRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        var part = header
        part.flags.insert(.part)
        part.recordSize = raw.count + operations.count
        // The first part has the head, too.
        var end = payloadMax - raw.count
        raw.append(UnsafeRawBufferPointer(rebasing: operations[..<end]))
        encode(raw.bytes, part)
        part.partStart = raw.count
        goOn()
        try emit(output.bytes)
        while end < operations.count {
            let start = end
            end = min(start + payloadMax, operations.count)
            encode(UnsafeRawBufferPointer(rebasing: operations[start..<end]), part)
            part.partStart += end - start
            try emit(output.bytes)
        }
    }

    /// Goes on behind the last record.
    private mutating func goOn() {
        raw.removeAll()
        header.previousSequence = header.lastSequence
        header.logHashBefore = logHash
        header.flags = []
        header.recordCount = 0
    }

    private mutating func encode(_ payload: UnsafeRawBufferPointer, _ header: PackHeader) {
        var header = header
        stored.removeAll()
        // What does not become smaller does not fit.
        let room = UnsafeMutableRawBufferPointer(
            start: stored.reserve(payload.count),
            count: payload.count - 1
        )
        let size = room.isEmpty ? nil : LZ4.compress(payload, to: room)
        if let size {
            stored.advance(by: size)
        } else {
            stored.append(payload)
            header.flags.insert(.storedRaw)
        }
        header.rawSize = payload.count
        header.storedSize = stored.count
        header.payloadHash = Checksum.xxh3(stored.bytes)
        output.removeAll()
        let encoded = header.encoded()
        output.append(encoded.bytes)
        output.append(stored.bytes)
    }
}
