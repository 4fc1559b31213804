import NIOCore
import Replication

/// Packets that wait for a connection, no more than so many bytes.
///
/// Thread safety: none; a value.
struct OutgoingQueue: Sendable {
    private var packets = CircularBuffer<PacketEncoder>()
    private(set) var size = 0
    private let sizeMax: Int

    init(sizeMax: Int) { self.sizeMax = sizeMax }

    var count: Int { packets.count }

    /// Appends a packet; returns whether there is room. A single packet is never too large.
    mutating func append(_ packet: PacketEncoder) -> Bool {
        guard count == 0 || size + packet.size <= sizeMax else { return false }
        packets.append(packet)
        size += packet.size
        return true
    }

    mutating func removeFirst() -> PacketEncoder? {
        let packet = packets.popFirst()
        size -= packet?.size ?? 0
        return packet
    }

    /// Forgets everything; returns how many packets that are.
    mutating func removeAll() -> Int {
        defer { self = OutgoingQueue(sizeMax: sizeMax) }
        return count
    }
}
