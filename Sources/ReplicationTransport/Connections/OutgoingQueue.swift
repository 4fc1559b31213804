import Replication

/// Packets that wait for a connection, no more than so many bytes.
///
/// Thread safety: none; a value.
struct OutgoingQueue: Sendable {
    private var packets: [PacketEncoder] = []
    /// Packets before this index are gone.
    private var head = 0
    private(set) var size = 0
    private let sizeMax: Int

    init(sizeMax: Int) { self.sizeMax = sizeMax }

    var count: Int { packets.count - head }

    /// Appends a packet; returns whether there is room. A single packet is never too large.
    mutating func append(_ packet: PacketEncoder) -> Bool {
        guard count == 0 || size + packet.size <= sizeMax else { return false }
        packets.append(packet)
        size += packet.size
        return true
    }

    mutating func removeFirst() -> PacketEncoder? {
        guard head < packets.count else { return nil }
        let packet = packets[head]
        head += 1
        size -= packet.size
        if head == packets.count {
            packets.removeAll(keepingCapacity: packets.capacity <= 1024)
            head = 0
        } else if head >= 64, head * 2 > packets.count {
            packets.removeFirst(head)
            head = 0
        }
        return packet
    }

    /// Forgets everything; returns how many packets that are.
    mutating func removeAll() -> Int {
        defer { self = OutgoingQueue(sizeMax: sizeMax) }
        return count
    }
}
