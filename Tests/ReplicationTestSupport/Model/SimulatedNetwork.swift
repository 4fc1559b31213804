/// Which links are open.
struct SimulatedNetwork {
    private struct Cut {
        let number: Int
        /// From whom to whom nothing comes through.
        let links: Set<Link>
    }

    private struct Link: Hashable {
        let from: Int
        let to: Int
    }

    private let memberCount: Int
    private var cuts: [Cut] = []
    private var nextNumber = 0
    private var clogs: [Link: UInt64] = [:]

    init(memberCount: Int) { self.memberCount = memberCount }

    func isOpen(from sender: Int, to receiver: Int) -> Bool {
        !cuts.contains { $0.links.contains(Link(from: sender, to: receiver)) }
    }

    /// Cuts the links between some members and the others; one way only, if it is asymmetric.
    mutating func partition(_ side: Set<Int>, isSymmetric: Bool) -> Int {
        var links: Set<Link> = []
        for one in side {
            for other in 0..<memberCount where !side.contains(other) {
                links.insert(Link(from: one, to: other))
                if isSymmetric { links.insert(Link(from: other, to: one)) }
            }
        }
        nextNumber += 1
        cuts.append(Cut(number: nextNumber, links: links))
        return nextNumber
    }

    mutating func heal(_ number: Int) { cuts.removeAll { $0.number == number } }

    mutating func healAll() {
        cuts = []
        clogs = [:]
    }

    /// Holds back what is sent on a link until a time.
    mutating func clog(from sender: Int, to receiver: Int, until end: UInt64) {
        clogs[Link(from: sender, to: receiver)] = end
    }

    func clogEnd(from sender: Int, to receiver: Int) -> UInt64 {
        clogs[Link(from: sender, to: receiver)] ?? 0
    }
}
