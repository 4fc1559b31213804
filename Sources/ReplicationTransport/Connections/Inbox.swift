import Replication
import StorageEngine

// What came from the other members and was not taken yet. Whoever takes packets may wait, for a
// lock or for a disk; the threads of the network must not. So a thread of its own hands them on.
//
// (1) Each sender has a lane, in which packets stay in order.
// (2) A lane is bounded, in bytes and in packets. What does not fit is not taken, and its
//     connection ends with it: a connection is whole up to its end.
// (3) Lanes take turns, so that a member that says much holds up none of the others.

/// Packets on their way from the network's threads to whoever takes them.
///
/// Thread safety: every method may be called from any thread; `start` and `end` once, `end` not by
/// the closure.
final class Inbox: @unchecked Sendable {
    private struct Lane {
        var packets: [Packet] = []
        /// Packets before this index were handed on.
        var head = 0
        var size = 0

        var count: Int { packets.count - head }
    }

    /// What a packet without a payload takes, about.
    private static let packetSize = 256

    private let sizeMax: Int
    private let countMax: Int
    private let lock = Lock()
    private let arrived = Condition()
    // What the lock protects.
    private var lanes: [UniqueID: Lane] = [:]
    /// The senders whose lanes are not empty, in the order of their turns.
    private var turns: [UniqueID] = []
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameters:
    ///   - sizeMax: The most bytes of a lane; a single packet is never too large.
    ///   - countMax: The most packets of a lane.
    init(sizeMax: Int, countMax: Int) {
        self.sizeMax = sizeMax
        self.countMax = countMax
    }

    /// Hands packets on from now on, one at a time, on a thread of its own.
    func start(_ deliver: @escaping @Sendable (Packet, _ sender: UniqueID) -> Void) {
        lock.with {
            guard !isEnded else { return }
            thread = WorkerThread(name: "network-inbox") { [self] in
                while let (packet, sender) = next() { deliver(packet, sender) }
            }
        }
    }

    /// Takes a packet in; returns whether there is room for it. Never waits.
    func append(_ packet: Packet, from sender: UniqueID) -> Bool {
        lock.with {
            guard !isEnded else { return true }
            var lane = lanes.removeValue(forKey: sender) ?? Lane()
            defer { lanes[sender] = lane }
            let size = packet.payload.count + Inbox.packetSize
            guard lane.count == 0 || (lane.size + size <= sizeMax && lane.count < countMax) else {
                return false
            }
            if lane.count == 0 { turns.append(sender) }
            lane.packets.append(packet)
            lane.size += size
            arrived.signal()
            return true
        }
    }

    /// Drops what was not handed on, and waits for the packet that is being handed on.
    func end() {
        let thread = lock.with {
            isEnded = true
            lanes = [:]
            turns = []
            arrived.signal()
            return self.thread.take()
        }
        thread?.join()
    }

    /// Waits for a packet; `nil` once the inbox has ended.
    private func next() -> (Packet, UniqueID)? {
        lock.with {
            while turns.isEmpty, !isEnded { arrived.wait(lock) }
            guard !isEnded else { return nil }
            let sender = turns.removeFirst()
            guard var lane = lanes.removeValue(forKey: sender) else {
                preconditionFailure("a turn without a lane")
            }
            let packet = lane.packets[lane.head]
            lane.packets[lane.head].payload = []
            lane.head += 1
            lane.size -= packet.payload.count + Inbox.packetSize
            if lane.count == 0 { return (packet, sender) }
            turns.append(sender)
            if lane.head >= 64, lane.head * 2 > lane.packets.count {
                lane.packets.removeFirst(lane.head)
                lane.head = 0
            }
            lanes[sender] = lane
            return (packet, sender)
        }
    }
}
