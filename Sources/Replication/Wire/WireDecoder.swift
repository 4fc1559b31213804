import StorageEngine

/// Takes a connection's bytes apart. The bytes are hostile: nothing traps, and memory grows only
/// with what came.
///
/// Thread safety: none; a value.
package struct WireDecoder: Sendable {
    package enum Event: Sendable {
        case greeting(Greeting)
        case rejection(Rejection)
        case heartbeat
        case packet(Packet)
    }

    /// A packet of which not all is here.
    private struct Partial: Sendable {
        let type: FrameType
        let fieldsSize: Int
        let payloadSize: Int
        /// Fields and payload go apart at once, so that a payload is never copied twice.
        var fields: [UInt8] = []
        var payload: [UInt8] = []

        var missing: Int { fieldsSize - fields.count + payloadSize - payload.count }
    }

    private let limits: WireLimits
    /// `nil` before the other side greeted.
    private var version: UInt8?
    private var partial: Partial?
    /// A frame's header whose body is not here yet, so that it is read once.
    private var header: WireFrame?

    package init(limits: WireLimits = WireLimits()) { self.limits = limits }

    /// How many bytes of an unfinished packet are held.
    package var heldSize: Int {
        partial.map { $0.fields.count + $0.payload.count } ?? 0
    }

    /// How many bytes must be there before anything more can be said.
    package var neededSize: Int { WireFormat.frameHeaderSize + (header?.size ?? 0) }

    /// Takes one frame from the front of the bytes that came and were not consumed.
    ///
    /// - Parameters:
    ///   - bytes: What came, and was not consumed.
    ///   - consumed: Is set to how many bytes are done with; 0 when a frame is not whole.
    /// - Returns: What the frame completes, `nil` when it completes nothing.
    /// - Throws: When the connection cannot go on; the decoder is of no use then.
    package mutating func next(
        _ bytes: UnsafeRawBufferPointer,
        consumed: inout Int
    ) throws(WireFailure) -> Event? {
        consumed = 0
        if header == nil {
            guard let next = try unsafe frame(bytes) else { return nil }
            try check(next)
            header = next
        }
        guard let header, bytes.count >= neededSize else { return nil }
        let body = unsafe UnsafeRawBufferPointer(
            rebasing: bytes[WireFormat.frameHeaderSize..<neededSize]
        )
        try unsafe header.verify(body)
        consumed = neededSize
        self.header = nil
        return try unsafe decode(header, body)
    }

    /// The header at the front. Whoever did not greet may speak anything.
    private func frame(_ bytes: UnsafeRawBufferPointer) throws(WireFailure) -> WireFrame? {
        do throws(WireFailure) {
            return try unsafe WireFrame(decoding: bytes)
        } catch {
            throw version == nil ? .notGreeting : error
        }
    }

    /// Whether the frame may come here, and be so large.
    private func check(_ frame: WireFrame) throws(WireFailure) {
        let isFirst = frame.type == .greeting || frame.type == .rejection
        guard frame.version == (isFirst ? 1 : version ?? 1) else {
            throw .wrongVersion(frame.version)
        }
        switch frame.type {
        case .greeting: guard version == nil else { throw .unexpected(.greeting) }
        case .rejection: break
        case .piece: guard partial != nil else { throw .unexpected(.piece) }
        case .heartbeat: guard version != nil else { throw .notGreeting }
        default:
            guard version != nil else { throw .notGreeting }
            guard partial == nil else { throw .unexpected(frame.type) }
        }
        let max = isFirst ? WireFormat.greetingSizeMax : limits.bodySizeMax
        guard frame.size <= max else {
            throw .tooLarge(frame.type, size: UInt64(frame.size), max: max)
        }
    }

    private mutating func decode(
        _ frame: WireFrame,
        _ body: UnsafeRawBufferPointer
    ) throws(WireFailure) -> Event? {
        var fields = unsafe FieldReader(body, of: frame.type)
        switch frame.type {
        case .greeting:
            let greeting = try Greeting(&fields)
            version = try greeting.agreedVersion()
            return .greeting(greeting)
        case .rejection:
            return .rejection(try Rejection(&fields))
        case .heartbeat:
            try fields.end()
            return .heartbeat
        case .piece:
            guard frame.size > 0 else { throw fields.failure }
            return try unsafe take(body)
        default:
            partial = try begin(frame.type, &fields)
            return try unsafe take(
                UnsafeRawBufferPointer(rebasing: body[WireFormat.messageHeaderSize...])
            )
        }
    }

    private func begin(
        _ type: FrameType,
        _ fields: inout FieldReader
    ) throws(WireFailure) -> Partial {
        let fieldsSize = Int(try fields.uint32())
        let payloadSize = try fields.uint64()
        let payloadSizeMax = type.hasPayload ? limits.payloadSizeMax : 0
        guard fieldsSize <= type.fieldsSizeMax else {
            throw .tooLarge(type, size: UInt64(fieldsSize), max: type.fieldsSizeMax)
        }
        guard payloadSize <= UInt64(payloadSizeMax) else {
            throw .tooLarge(type, size: payloadSize, max: payloadSizeMax)
        }
        return Partial(type: type, fieldsSize: fieldsSize, payloadSize: Int(payloadSize))
    }

    /// Takes more of the content in, and returns the packet once it is whole.
    private mutating func take(_ content: UnsafeRawBufferPointer) throws(WireFailure) -> Event? {
        guard var packet = partial else { return nil }
        // The arrays have one owner while they grow.
        partial = nil
        guard content.count <= packet.missing else { throw .malformed(packet.type) }
        let fieldsCount = min(content.count, packet.fieldsSize - packet.fields.count)
        unsafe packet.fields.append(contentsOf: content[..<fieldsCount])
        unsafe packet.payload.append(contentsOf: content[fieldsCount...])
        guard packet.missing == 0 else {
            partial = packet
            return nil
        }
        let message = try unsafe packet.fields.withUnsafeBytes { bytes in
            Result { () throws(WireFailure) in
                var fields = unsafe FieldReader(bytes, of: packet.type)
                return try Message(&fields, type: packet.type)
            }
        }.get()
        var whole = Packet(message: message, payload: packet.payload)
        whole.fieldsSize = packet.fieldsSize
        return .packet(whole)
    }
}
