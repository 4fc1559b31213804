import StorageEngine

@testable import Replication

/// What one member says to another, behind its greeting.
enum WireStreamDecoder: FuzzedDecoder {
    static let name = "wire"

    static func check(_ input: UnsafeRawBufferPointer) {
        var limits = WireLimits()
        limits.payloadSizeMax = 1 << 20
        for packet in packets(resealed(input.copied), limits) {
            let again = accepted { () throws(WireFailure) in try encoded(packet) }
            guard let again, let read = packets(again, limits).first else {
                preconditionFailure("what was decoded can be encoded, and decoded again")
            }
            precondition(read.message == packet.message && read.payload == packet.payload)
        }
    }

    /// Makes the checksums of all frames right that lie one behind the other; the last one gets
    /// what is left.
    private static func resealed(_ frames: [UInt8]) -> [UInt8] {
        var frames = frames
        var offset = 0
        while offset + WireFormat.frameHeaderSize <= frames.count {
            let rest = frames.count - offset - WireFormat.frameHeaderSize
            var size = (0..<4).reduce(0) { $0 | Int(frames[offset + $1]) << (8 * $1) }
            if size > rest { size = rest }
            frames.store(UInt32(size), at: offset)
            let start =
                UInt64(size) | UInt64(frames[offset + 4]) << 32 | UInt64(1) << 40
            frames.store(start, at: offset)
            let body = offset + WireFormat.frameHeaderSize
            frames.store(frames.hash(body..<body + size, seed: start), at: offset + 8)
            offset = body + size
        }
        return frames
    }

    private static func encoded(_ packet: Packet) throws(WireFailure) -> [UInt8] {
        var encoder = try PacketEncoder(packet)
        var frames: [UInt8] = []
        while let size = encoder.nextFrameSize(bodySizeMax: 4096) {
            var frame = [UInt8](repeating: 0, count: size)
            frame.withUnsafeMutableBytes { encoder.encodeFrame(to: $0, version: 1) }
            frames += frame
        }
        return frames
    }

    /// Everything up to the first frame that is refused.
    private static func packets(_ frames: [UInt8], _ limits: WireLimits) -> [Packet] {
        var decoder = WireDecoder(limits: limits)
        let greeting = Greeting(member: UniqueID(high: 1, low: 2), bodySizeMax: 4096)
        let stream = greeting.encoded() + frames
        var packets: [Packet] = []
        stream.withUnsafeBytes { bytes in
            var rest = bytes
            var consumed = 0
            _ = accepted { () throws(WireFailure) in
                repeat {
                    let event = try decoder.next(rest, consumed: &consumed)
                    if case .packet(let packet)? = event { packets.append(packet) }
                    rest = UnsafeRawBufferPointer(rebasing: rest[consumed...])
                } while consumed > 0
            }
        }
        precondition(decoder.heldSize <= stream.count, "memory grows with what came")
        return packets
    }

    /// Where the fuzzer begins: a packet of each kind of field.
    static var seeds: [[UInt8]] {
        let id = UniqueID(high: 3, low: 4)
        let epoch = Epoch(number: 5, starter: 6)
        let tail = Tail(epoch: epoch, sequence: 7, logHash: 8)
        let entry = EpochEntry(epoch: epoch, lastSequenceBefore: 1, logHashBefore: 2)
        let log = LogOutline(table: [entry, entry], tail: tail)
        let leadership = Leadership(epoch: epoch, leader: id, foundation: tail)
        let report = MemberReport(
            member: id,
            incarnation: 1,
            epoch: epoch,
            watermarks: Watermarks(all: 9),
            beat: 2
        )
        var pack = Pack(from: tail, to: tail, beginning: [], first: 8, size: 3, payload: 0)
        pack.beginning = [epoch]
        let messages: [Message] = [
            .hello(
                Hello(
                    history: id,
                    member: id,
                    role: .voter,
                    incarnation: 1,
                    attempt: 2,
                    nonce: 3,
                    promised: epoch,
                    holder: id,
                    log: log,
                    isAdopting: false
                )
            ),
            .welcome(
                Welcome(
                    nonce: 1,
                    session: 2,
                    history: id,
                    leadership: leadership,
                    route: [id],
                    log: log,
                    course: .cut(to: tail)
                )
            ),
            .report(
                Report(session: 1, promised: epoch, holder: nil, granted: 9, entries: [report])
            ),
            .pack(session: 1, epoch: epoch, pack),
            .part(session: 1, CopyPart(copy: 1, index: 2, size: 3, payload: 0)),
            .refusal(Refusal(about: 1, reason: .fenced(by: epoch, holder: id))),
            .consult(Consult(history: id, nonce: 1, epoch: epoch)),
        ]
        return messages.compactMap { message in
            var payload: [UInt8] = []
            if message.frameType.hasPayload { payload = [UInt8](repeating: 1, count: 5000) }
            let packet = Packet(message: message, payload: payload)
            return accepted { () throws(WireFailure) in try encoded(packet) }
        }
    }
}
