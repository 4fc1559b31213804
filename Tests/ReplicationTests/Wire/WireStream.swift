@testable import Replication
import StorageEngine

/// Encodes and decodes as a connection does, with all bytes in memory.
enum WireStream {
    static let member = UniqueID(high: 1, low: 2)
    static let greeting = Greeting(member: member, bodySizeMax: 1 << 20)

    static func frames(
        of packet: Packet,
        bodySizeMax: Int = 1 << 20,
        version: UInt8 = 1
    ) throws(WireFailure) -> [[UInt8]] {
        var encoder = try PacketEncoder(packet)
        var frames: [[UInt8]] = []
        while let size = encoder.nextFrameSize(bodySizeMax: bodySizeMax) {
            var frame = [UInt8](repeating: 0xee, count: size)
            unsafe frame.withUnsafeMutableBytes { target in
                unsafe encoder.encodeFrame(to: target, version: version)
            }
            frames.append(frame)
        }
        return frames
    }

    /// What a decoder makes of bytes that come in pieces of some size.
    static func events(
        in bytes: [UInt8],
        step: Int = .max,
        limits: WireLimits = WireLimits()
    ) throws(WireFailure) -> [WireDecoder.Event] {
        var decoder = WireDecoder(limits: limits)
        var events: [WireDecoder.Event] = []
        var (start, end) = (0, 0)
        while end < bytes.count {
            end += min(step, bytes.count - end)
            while start < end {
                var consumed = 0
                let available = bytes[start..<end]
                let event = try unsafe available.withUnsafeBytes { available in
                    Result { () throws(WireFailure) in
                        try unsafe decoder.next(available, consumed: &consumed)
                    }
                }.get()
                if let event { events.append(event) }
                guard consumed > 0 else { break }
                start += consumed
            }
        }
        return events
    }

    static func packets(in bytes: [UInt8], step: Int = .max) throws(WireFailure) -> [Packet] {
        try events(in: bytes, step: step).compactMap { event in
            if case .packet(let packet) = event { packet } else { nil }
        }
    }
}

/// What a call throws; `nil` when it throws nothing.
func failure<R>(_ body: () throws(WireFailure) -> R) -> WireFailure? {
    do throws(WireFailure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}
