import NIOCore
import Replication
import StorageEngine

// What came from the other members and was not taken yet. Whoever takes packets may wait, for a
// lock or for a disk; the threads of the network must not. So a thread of its own hands them on,
// unless it can be done at once: a thread that is woken costs more than most packets.
//
// (1) Each sender has a lane, in which packets stay in order: one of them is handed on at a time,
//     and at once only when none waits.
// (2) A lane is bounded, in bytes and in packets. What does not fit is not taken, and its
//     connection ends with it: a connection is whole up to its end.
// (3) Lanes take turns, so that a member that says much holds up none of the others.

/// Packets of one sender.
private struct Lane {
    private var packets = CircularBuffer<Packet>()
    private var size = 0

    var count: Int { packets.count }

    /// Returns whether there was room; a single packet is never too large.
    mutating func add(_ packet: Packet, sizeMax: Int, countMax: Int) -> Bool {
        let hasRoom = size + packet.size <= sizeMax && count < countMax
        guard count == 0 || hasRoom else { return false }
        packets.append(packet)
        size += packet.size
        return true
    }

    mutating func removeFirst() -> Packet {
        let packet = packets.removeFirst()
        size -= packet.size
        return packet
    }
}

extension Packet {
    /// What it takes in memory, about.
    fileprivate var size: Int { payload.count + fieldsSize + 256 }
}

/// Packets on their way from the network's threads to whoever takes them.
///
/// Thread safety: every method may be called from any thread; `start` and `end` once, `end` not by
/// the closure.
final class Inbox: @unchecked Sendable {
    private let sizeMax: Int
    private let countMax: Int
    private let lock = Lock()
    private let arrived = Condition()
    // What the lock protects.
    private var lanes: [UniqueID: Lane] = [:]
    /// The senders whose lanes are not empty, in the order of their turns, but for busy ones.
    private var turns: [UniqueID] = []
    /// The senders of whom a packet is being handed on.
    private var busy: Set<UniqueID> = []
    private var deliver: PacketTaker?
    private var isWaiting = false
    private var isEnded = false
    private var thread: WorkerThread?

    /// - Parameters:
    ///   - sizeMax: The most bytes of a lane; a single packet is never too large.
    ///   - countMax: The most packets of a lane.
    init(sizeMax: Int, countMax: Int) {
        self.sizeMax = sizeMax
        self.countMax = countMax
    }

    /// Hands packets on from now on, at once or on a thread of its own.
    func start(_ deliver: @escaping PacketTaker) {
        lock.with {
            guard !isEnded else { return }
            self.deliver = deliver
            thread = WorkerThread(name: "network-inbox") { [self] in
                while let (packet, sender) = next() {
                    let isTaken = deliver(packet, sender, true)
                    precondition(isTaken, "whoever may wait takes what comes")
                    lock.with { release(sender) }
                }
            }
        }
    }

    /// Hands a packet on, or keeps it; returns whether there was room for it. Never waits.
    func take(_ packet: Packet, from sender: UniqueID) -> Bool {
        let deliver = lock.with { () -> PacketTaker? in
            guard let deliver = self.deliver, !isEnded, isIdle(sender) else { return nil }
            busy.insert(sender)
            return deliver
        }
        guard let deliver else { return lock.with { keep(packet, from: sender) } }
        let isTaken = deliver(packet, sender, false)
        return lock.with {
            // What came meanwhile came through another connection: of these there is no order.
            let isKept = isTaken || keep(packet, from: sender)
            release(sender)
            return isKept
        }
    }

    /// Drops what was not handed on, and waits for what the inbox's own thread is handing on.
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

    // MARK: Lanes; the lock is needed

    private func isIdle(_ sender: UniqueID) -> Bool {
        lanes[sender] == nil && !busy.contains(sender)
    }

    private func keep(_ packet: Packet, from sender: UniqueID) -> Bool {
        guard !isEnded else { return true }
        if isIdle(sender) { addTurn(sender) }
        var lane = lanes.removeValue(forKey: sender) ?? Lane()
        defer { lanes[sender] = lane }
        return lane.add(packet, sizeMax: sizeMax, countMax: countMax)
    }

    private func addTurn(_ sender: UniqueID) {
        turns.append(sender)
        if isWaiting { arrived.signal() }
    }

    /// A packet of the sender was handed on.
    private func release(_ sender: UniqueID) {
        busy.remove(sender)
        if lanes[sender] != nil { addTurn(sender) }
    }

    /// Waits for a packet; `nil` once the inbox has ended.
    private func next() -> (Packet, UniqueID)? {
        lock.with {
            isWaiting = true
            while turns.isEmpty, !isEnded { arrived.wait(lock) }
            isWaiting = false
            guard !isEnded else { return nil }
            let sender = turns.removeFirst()
            guard var lane = lanes.removeValue(forKey: sender) else {
                preconditionFailure("a turn without a lane")
            }
            let packet = lane.removeFirst()
            if lane.count > 0 { lanes[sender] = lane }
            busy.insert(sender)
            return (packet, sender)
        }
    }
}
