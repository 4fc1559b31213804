/// Turns records into frames: packs, compresses as a stream, and writes headers.
///
/// Thread safety: none; it belongs to whoever holds the append role.
struct FrameEncoder: ~Copyable {
    /// What a frame's bytes depend on besides its records.
    struct Place {
        let stream: FrameStream
        var offset: UInt64
        var syncedThrough: UInt64
    }

    /// The raw payloads since the last restart, one behind the other.
    private let window: UnsafeMutableRawPointer
    /// A compressed payload, until the size of its header is known.
    private let scratch: UnsafeMutableRawPointer
    private var stream = LZ4.Stream()
    private var position = 0
    /// Whether the next frame must decode without those before it.
    private var mustRestart = true
    /// Whole frames, ready to be written.
    private(set) var output = ByteBuffer(capacity: 64 << 10)
    /// The restart frames in ``output``.
    private(set) var restarts: [RestartIndex.Point] = []
    /// Where the window began in the file.
    private var restartOffset: UInt64 = 0
    /// Raw and stored bytes of all frames so far.
    private(set) var rawBytes: UInt64 = 0
    private(set) var frameCount: UInt64 = 0

    init() {
        window = .allocate(byteCount: LogFormat.windowSize, alignment: 16)
        scratch = .allocate(byteCount: LZ4.bound(LogFormat.windowSize), alignment: 16)
    }

    deinit {
        window.deallocate()
        scratch.deallocate()
    }

    /// Makes the next frame a restart frame: needed in a new file and behind a failed append.
    mutating func restart() { mustRestart = true }

    mutating func clearOutput() {
        output.removeAll()
        restarts.removeAll(keepingCapacity: true)
        if output.capacity > 4 << 20 { output = ByteBuffer(capacity: 64 << 10) }
    }

    /// Appends the frames of all entries of a buffer to ``output``; the place moves along.
    mutating func encode(_ buffer: borrowing LogBuffer, at place: inout Place) {
        var index = 0
        while index < buffer.entries.count {
            if buffer.entries[index].large != nil {
                encodeLarge(buffer.entries[index], at: &place)
                index += 1
            } else {
                index = encodeFrame(buffer, from: index, at: &place)
            }
        }
    }

    /// Encodes one streamed frame and returns the index of the first entry behind it.
    private mutating func encodeFrame(
        _ buffer: borrowing LogBuffer,
        from first: Int,
        at place: inout Place
    ) -> Int {
        let head = buffer.entries[first]
        let restarts =
            mustRestart || !fits(head)
            || place.offset - restartOffset >= LogFormat.restartDistance
        if restarts {
            stream.restart()
            position = 0
            mustRestart = false
        }
        let start = position
        var previousStamp = place.stream.baseStamp
        var index = first
        while index < buffer.entries.count, position - start < LogFormat.largeSize {
            let entry = buffer.entries[index]
            guard entry.large == nil, fits(entry) else { break }
            position += entry.head.encode(
                to: window + position,
                previousStamp: previousStamp,
                operationsSize: entry.size
            )
            _ = (window + position).appending(buffer.operations(of: entry))
            position += entry.size
            previousStamp = entry.head.stamp
            index += 1
        }
        let raw = UnsafeRawBufferPointer(start: window + start, count: position - start)
        let size = stream.compress(raw, to: scratch)
        let isRaw = size >= raw.count
        let payload = isRaw ? raw : UnsafeRawBufferPointer(start: scratch, count: size)
        var flags: FrameHeader.Flags = isRaw ? .storedRaw : []
        if restarts { flags.insert(.restart) }
        appendFrame(
            flags,
            payload: payload,
            rawSize: raw.count,
            records: (head, buffer.entries[index - 1]),
            at: &place
        )
        return index
    }

    private func fits(_ entry: LogBuffer.Entry) -> Bool {
        position + RecordHead.encodedSizeMax + entry.size <= LogFormat.windowSize
    }

    private mutating func encodeLarge(_ entry: LogBuffer.Entry, at place: inout Place) {
        guard let block = entry.large else { return }
        var payload = ByteBuffer(capacity: RecordHead.encodedSizeMax + block.bytes.count)
        let headSize = entry.head.encode(
            to: payload.reserve(RecordHead.encodedSizeMax),
            previousStamp: place.stream.baseStamp,
            operationsSize: entry.size
        )
        payload.advance(by: headSize)
        payload.append(UnsafeRawBufferPointer(block.bytes))
        var flags: FrameHeader.Flags = [.large, .restart]
        if block.isRaw { flags.insert(.storedRaw) }
        appendFrame(
            flags,
            payload: payload.bytes,
            rawSize: headSize + entry.size,
            records: (entry, entry),
            at: &place
        )
        mustRestart = true
    }

    /// Appends a sync marker.
    mutating func encodeMarker(lastSequence: UInt64, at place: inout Place) {
        encodeEmpty(.syncMarker, .init(start: nil, count: 0), lastSequence, nil, at: &place)
    }

    /// Appends a seal, with the restart frames of its file.
    mutating func encodeSeal(
        _ index: RestartIndex,
        lastSequence: UInt64,
        logHash: UInt64,
        at place: inout Place
    ) {
        var payload = ByteBuffer()
        index.encode(into: &payload, base: place.stream.baseSequence)
        encodeEmpty(
            payload.count > 0 ? [.seal, .storedRaw] : .seal,
            payload.bytes,
            lastSequence,
            logHash,
            at: &place
        )
    }

    /// Appends a frame without records.
    private mutating func encodeEmpty(
        _ flags: FrameHeader.Flags,
        _ payload: UnsafeRawBufferPointer,
        _ lastSequence: UInt64,
        _ logHash: UInt64?,
        at place: inout Place
    ) {
        appendFrame(
            FrameHeader(
                flags: flags,
                payloadHash: Checksum.xxh3(payload),
                storedSize: payload.count,
                rawSize: payload.count,
                previousSequence: lastSequence,
                firstSequence: lastSequence,
                lastSequence: lastSequence,
                syncedThrough: place.syncedThrough,
                logHash: logHash
            ),
            payload: payload,
            at: &place
        )
    }

    private mutating func appendFrame(
        _ flags: FrameHeader.Flags,
        payload: UnsafeRawBufferPointer,
        rawSize: Int,
        records: (first: LogBuffer.Entry, last: LogBuffer.Entry),
        at place: inout Place
    ) {
        rawBytes += UInt64(rawSize)
        appendFrame(
            FrameHeader(
                flags: flags,
                payloadHash: Checksum.xxh3(payload),
                storedSize: payload.count,
                rawSize: rawSize,
                previousSequence: records.first.head.previousSequence,
                firstSequence: records.first.head.sequence,
                lastSequence: records.last.head.sequence,
                syncedThrough: place.syncedThrough,
                logHash: flags.contains(.restart) ? records.first.hashBefore : nil
            ),
            payload: payload,
            at: &place
        )
    }

    private mutating func appendFrame(
        _ header: FrameHeader,
        payload: UnsafeRawBufferPointer,
        at place: inout Place
    ) {
        if header.flags.contains(.restart) {
            restartOffset = place.offset
            restarts.append(
                RestartIndex.Point(
                    offset: place.offset,
                    previousSequence: header.previousSequence
                )
            )
        }
        let start = output.count
        let headerSize = header.encode(
            to: output.reserve(FrameHeader.encodedSizeMax),
            at: place.offset,
            seed: place.stream.seed,
            base: place.stream.baseSequence
        )
        output.advance(by: headerSize)
        output.append(payload)
        output.append(zeros: LogFormat.aligned(output.count - start) - (output.count - start))
        place.offset += UInt64(output.count - start)
        frameCount += 1
    }
}
