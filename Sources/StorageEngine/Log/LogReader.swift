/// Reads the frames of one file, of the log or a manifest, from front to back, and believes nothing
/// unverified.
///
/// A frame that is cut short, has a wrong check or hash, or does not follow the frame before it
/// ends the reading: ``next(_:)`` returns `false` and ``stop`` says why; whether that is the end, a
/// torn tail or corruption is the caller's verdict. A frame whose hash is right and whose contents
/// are not is corruption, and thrown.
///
/// Thread safety: none.
package final class LogReader {
    /// Why reading ended.
    package enum Stop: String, Sendable {
        case endOfFile = "end of file"
        case badHeader = "no frame header"
        case cutShort = "frame cut short"
        case badPayload = "wrong payload hash"
        case discontinuous = "frame does not follow the one before it"
        case sealed = "sealed"
    }

    private let file: StoreFile
    private let stream: FrameStream
    private var limit: UInt64
    private let stepSize: Int
    private var input: FileInput
    private var decoder = FrameDecoder()
    /// Whether the next frame's word is taken for what came before it.
    private var isResuming: Bool

    /// The offset of the next frame: the end of the last good one.
    package private(set) var offset: UInt64
    package private(set) var lastSequence: UInt64
    package private(set) var logHash: UInt64
    /// The log hash before the last record that was read.
    package private(set) var hashBefore: UInt64 = 0
    package private(set) var lastStamp: UInt64
    /// The greatest length that a good frame proves to have been synced.
    package private(set) var syncedThrough = UInt64(LogFormat.headerSize)
    package private(set) var stop: Stop?
    /// The last good frame and its offset.
    package private(set) var frame: FrameHeader?
    package private(set) var frameOffset: UInt64 = 0

    /// Reads from the first frame, or from a restart frame at an offset, up to a length of the
    /// file, so many bytes at a time.
    package init(
        file: StoreFile,
        frames stream: FrameStream,
        limit: UInt64,
        from start: UInt64? = nil,
        stepSize: Int = 1 << 20
    ) {
        self.file = file
        self.stepSize = stepSize
        self.stream = stream
        self.limit = limit
        input = FileInput(file: file, limit: limit, stepSize: stepSize)
        offset = start ?? UInt64(LogFormat.headerSize)
        isResuming = start != nil
        lastSequence = stream.baseSequence
        logHash = stream.initialHash
        lastStamp = stream.baseStamp
    }

    /// Reads the next frame and calls a closure with each of its records.
    ///
    /// - Returns: `false` when there is no good frame at ``offset``.
    /// - Throws: ``EngineError`` with code `corruption`, `unsupportedFormat` or `io`, or what the
    ///   closure throws. The operations are borrowed until the closure returns.
    package func next(
        _ body: (RecordHead, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) -> Bool {
        guard stop == nil else { return false }
        let found: (header: FrameHeader, headerSize: Int)
        switch try readHeader() {
        case .failure(let reason):
            stop = reason
            return false
        case .success(let header): found = header
        }
        let payload = try input.bytes(
            at: offset + UInt64(found.headerSize),
            count: found.header.storedSize
        )
        guard Checksum.xxh3(payload) == found.header.payloadHash else {
            stop = .badPayload
            return false
        }
        resumeIfNeeded(found.header)
        try decode(found.header, payload: payload, body)
        frame = found.header
        frameOffset = offset
        offset += UInt64(LogFormat.aligned(found.headerSize + found.header.storedSize))
        syncedThrough = max(syncedThrough, found.header.syncedThrough)
        if found.header.flags.contains(.seal) { stop = .sealed }
        return true
    }

    /// Reads on after the end of the file, which has grown to a length since.
    func extend(to length: UInt64) {
        guard length > limit else { return }
        limit = length
        input.extend(to: length)
        if stop == .endOfFile { stop = nil }
    }

    /// Once reading has ended: looks again at what is there, up to a length, for a file that
    /// somebody writes to.
    func readOn(to length: UInt64) {
        guard stop != .sealed else { return }
        stop = nil
        limit = max(limit, length)
        input = FileInput(file: file, limit: limit, stepSize: stepSize)
    }

    /// Once reading has ended: the offset of the last byte behind ``offset`` that is not zero.
    package func lastNonZero() throws(EngineError) -> UInt64? {
        try input.lastNonZero(from: offset, to: limit)
    }

    /// Once reading has ended: the first frame header behind ``offset`` and up to `last` which says
    /// that the file was synced beyond ``offset``, so that what is missing there was lost.
    package func firstProofOfMore(
        through last: UInt64
    ) throws(EngineError) -> (offset: UInt64, header: FrameHeader)? {
        var place = offset
        while place <= last {
            let bytes = try input.bytes(at: place, upTo: FrameHeader.encodedSizeMax)
            var headerSize = 0
            if let header = FrameHeader(
                decoding: bytes,
                at: place,
                of: stream,
                headerSize: &headerSize
            ),
                header.syncedThrough > offset
            {
                return (place, header)
            }
            place += UInt64(LogFormat.alignment)
        }
        return nil
    }

    private enum HeaderResult {
        case success((header: FrameHeader, headerSize: Int))
        case failure(Stop)
    }

    private func readHeader() throws(EngineError) -> HeaderResult {
        guard offset < limit else { return .failure(.endOfFile) }
        let bytes = try input.bytes(at: offset, upTo: FrameHeader.encodedSizeMax)
        var headerSize = 0
        guard
            let header = FrameHeader(
                decoding: bytes,
                at: offset,
                of: stream,
                headerSize: &headerSize
            )
        else { return .failure(.badHeader) }
        guard UInt64(headerSize + header.storedSize) <= limit - offset else {
            return .failure(.cutShort)
        }
        guard isResuming || follows(header) else { return .failure(.discontinuous) }
        return .success((header, headerSize))
    }

    /// Whether a frame continues what was read; a restart also repeats the log hash.
    private func follows(_ next: FrameHeader) -> Bool {
        next.previousSequence == lastSequence && (next.logHash ?? logHash) == logHash
    }

    private func resumeIfNeeded(_ header: FrameHeader) {
        guard isResuming else { return }
        isResuming = false
        lastSequence = header.previousSequence
        logHash = header.logHash ?? logHash
    }

    private func decode(
        _ header: FrameHeader,
        payload: UnsafeRawBufferPointer,
        _ body: (RecordHead, UnsafeRawBufferPointer) throws(EngineError) -> Void
    ) throws(EngineError) {
        var records: FrameDecoder.Records
        do {
            records = try decoder.records(
                header,
                payload: payload,
                baseStamp: stream.baseStamp
            )
            while let record = try records.next() {
                let digest = LogHash.digest(record.operations)
                hashBefore = logHash
                logHash = LogHash.next(logHash, record.head, digest: digest)
                lastStamp = max(lastStamp, record.head.stamp)
                do { try body(record.head, record.operations) } catch {
                    throw Failure.caller(error)
                }
            }
        } catch let failure as DecodingFailure {
            throw error(failure)
        } catch let failure as Failure {
            throw failure.error
        } catch {
            preconditionFailure("no other error is thrown here")
        }
        lastSequence = header.lastSequence
    }

    private enum Failure: Error {
        case caller(EngineError)
        var error: EngineError {
            switch self {
            case .caller(let error): error
            }
        }
    }

    private func error(_ failure: DecodingFailure) -> EngineError {
        let message = "reading a frame: \(failure.reason)"
        switch failure {
        case .malformed: return .corruption(message, file: file.name, offset: offset)
        case .unsupported:
            return EngineError(.unsupportedFormat, message, file: file.name, offset: offset)
        }
    }
}
