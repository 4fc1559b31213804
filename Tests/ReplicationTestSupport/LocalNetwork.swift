package import Replication
package import StorageEngine

/// Carries packets between members of one process, in order, after a delay; links can be cut.
///
/// Thread safety: every method may be called from any thread.
package final class LocalNetwork: @unchecked Sendable {
    fileprivate struct Link: Hashable {
        let sender, receiver: UniqueID
    }

    private let lock = Lock()
    // The lock.
    private var receivers: [UniqueID: LocalLinks] = [:]
    private var cut: Set<Link> = []
    private var delay: UInt64 = 0
    private var change: @Sendable (Packet) -> Packet = { $0 }
    private var counts: [UniqueID: Int] = [:]

    package init() {}

    /// What a member is opened with; its packets go to whoever was made last for an id.
    package func links(of member: UniqueID) -> any Links {
        let links = LocalLinks(member, self)
        lock.with { receivers[member] = links }
        return links
    }

    /// Packets arrive so many milliseconds after they were sent.
    package func setDelay(milliseconds: UInt64) {
        lock.with { delay = milliseconds * 1_000_000 }
    }

    /// Packets arrive changed, from now on.
    package func setChange(_ change: @escaping @Sendable (Packet) -> Packet) {
        lock.with { self.change = change }
    }

    /// Nothing passes between two members from now on.
    package func cut(_ one: UniqueID, _ other: UniqueID) {
        lock.with {
            cut.insert(Link(sender: one, receiver: other))
            cut.insert(Link(sender: other, receiver: one))
        }
    }

    /// Nothing passes between a member and any of the others from now on.
    package func isolate(_ member: UniqueID, from others: [UniqueID]) {
        for other in others where other != member { cut(member, other) }
    }

    /// Everything passes again.
    package func heal() { lock.with { cut = [] } }

    /// How many packets with bytes a member has sent.
    package func payloadCount(of member: UniqueID) -> Int { lock.with { counts[member] ?? 0 } }

    fileprivate func send(_ packet: Packet, from sender: UniqueID, to receiver: UniqueID) {
        let (links, delay, change) = lock.with { () -> (LocalLinks?, UInt64, _) in
            if !packet.payload.isEmpty { counts[sender, default: 0] += 1 }
            let isCut = cut.contains(Link(sender: sender, receiver: receiver))
            return (isCut ? nil : receivers[receiver], self.delay, self.change)
        }
        links?.arrive(change(packet), from: sender, after: delay)
    }

    fileprivate func remove(_ links: LocalLinks) {
        lock.with {
            if receivers[links.member] === links { receivers[links.member] = nil }
        }
    }
}

/// One member's end of a ``LocalNetwork``.
///
/// Thread safety: every method may be called from any thread; `start` and `stop` once.
private final class LocalLinks: Links, @unchecked Sendable {
    private struct Arrival {
        let packet: Packet
        let sender: UniqueID
        let time: UInt64
    }

    let member: UniqueID
    private let network: LocalNetwork
    private let lock = Lock()
    private let condition = Condition()
    // The lock.
    private var arrivals: [Arrival] = []
    private var isAsked = false
    private var isStopped = false
    private var thread: WorkerThread?

    private static let arrivalsMax = 10_000

    init(_ member: UniqueID, _ network: LocalNetwork) {
        self.member = member
        self.network = network
    }

    func start(
        _ deliver: @escaping PacketTaker,
        prepare: @escaping @Sendable (_ here: Bool) -> Void
    ) {
        let thread = WorkerThread(name: "local-links") { [self] in
            var preparations = 0
            while let step = next() {
                guard case .taken(let arrival) = step else {
                    preparations += 1
                    prepare(preparations % 8 > 0)
                    continue
                }
                // As the network's own threads do it.
                if deliver(arrival.packet, arrival.sender, false) { continue }
                let isTaken = deliver(arrival.packet, arrival.sender, true)
                precondition(isTaken, "whoever may wait takes what comes")
            }
        }
        lock.with { self.thread = thread }
    }

    func send(_ packet: Packet, to member: UniqueID) -> Wake? {
        network.send(packet, from: self.member, to: member)
        return nil
    }

    func ask(_ member: UniqueID) -> Wake? {
        lock.with {
            isAsked = true
            condition.signal()
        }
        return {}
    }

    func stop() {
        network.remove(self)
        let thread = lock.with {
            isStopped = true
            arrivals = []
            condition.signal()
            return self.thread.take()
        }
        thread?.join()
    }

    func arrive(_ packet: Packet, from sender: UniqueID, after delay: UInt64) {
        lock.with {
            guard !isStopped, arrivals.count < Self.arrivalsMax else { return }
            let time = SystemTime().monotonicNanoseconds + delay
            arrivals.append(Arrival(packet: packet, sender: sender, time: time))
            condition.signal()
        }
    }

    private enum Step { case asked, taken(Arrival) }

    /// What is to be done next; `nil` when it was stopped.
    private func next() -> Step? {
        lock.with {
            while !isStopped {
                if isAsked {
                    isAsked = false
                    return .asked
                }
                guard let first = arrivals.first else {
                    condition.wait(lock)
                    continue
                }
                if first.time <= SystemTime().monotonicNanoseconds {
                    return .taken(arrivals.removeFirst())
                }
                condition.wait(lock, until: first.time)
            }
            return nil
        }
    }
}
