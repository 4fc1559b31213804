@testable import Replication
import StorageEngine
import StorageEngineTestSupport

/// Draws messages of every kind, well formed or not: the wire carries what the core may refuse.
struct RandomMessages {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    static let kindCount = 12

    mutating func packet() -> Packet {
        let message = message(Int.random(in: 0..<Self.kindCount, using: &generator))
        return Packet(message: message, payload: payload(of: message))
    }

    /// What goes with a message: bytes only where there may be some.
    mutating func payload(of message: Message) -> [UInt8] {
        switch message {
        case .pack, .part: bytes(Int.random(in: 0...5000, using: &generator))
        default: []
        }
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    mutating func message(_ kind: Int) -> Message {
        switch kind {
        case 0: .hello(hello())
        case 1: .follow(follow())
        case 2: .take(Take(session: number(), copy: number(), from: number()))
        case 3: .report(report())
        case 4: .welcome(welcome())
        case 5: .pack(session: number(), epoch: epoch(), pack())
        case 6: .offer(session: number(), offer())
        case 7: .part(session: number(), part())
        case 8: .beat(beat())
        case 9: .refusal(Refusal(about: number(), reason: reason()))
        case 10: .consult(Consult(history: id(), nonce: number(), epoch: maybe { $0.epoch() }))
        default: .answer(answer())
        }
    }

    private mutating func number() -> UInt64 {
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: 0
        case 1: .max
        default: generator.next()
        }
    }

    private mutating func flag() -> Bool { Bool.random(using: &generator) }

    private mutating func maybe<Value>(_ draw: (inout RandomMessages) -> Value) -> Value? {
        flag() ? draw(&self) : nil
    }

    private mutating func list<Value>(_ draw: (inout RandomMessages) -> Value) -> [Value] {
        (0..<Int.random(in: 0...4, using: &generator)).map { _ in draw(&self) }
    }

    private mutating func id() -> UniqueID { UniqueID(high: number(), low: number()) }

    private mutating func epoch() -> Epoch { Epoch(number: number(), starter: number()) }

    private mutating func tail() -> Tail {
        Tail(epoch: epoch(), sequence: number(), logHash: number())
    }

    private mutating func outline() -> LogOutline {
        let table = list { draw in
            EpochEntry(
                epoch: draw.epoch(),
                lastSequenceBefore: draw.number(),
                logHashBefore: draw.number()
            )
        }
        return LogOutline(table: table, tail: tail())
    }

    private mutating func hello() -> Hello {
        Hello(
            history: maybe { $0.id() },
            member: id(),
            role: flag() ? .voter : .observer,
            incarnation: number(),
            attempt: number(),
            nonce: number(),
            promised: epoch(),
            holder: maybe { $0.id() },
            log: outline(),
            isAdopting: flag()
        )
    }

    private mutating func follow() -> Follow {
        Follow(
            session: number(),
            after: tail(),
            granted: number(),
            needsCopy: flag(),
            copy: maybe { $0.number() }
        )
    }

    private mutating func report() -> Report {
        Report(
            session: number(),
            promised: epoch(),
            holder: maybe { $0.id() },
            granted: number(),
            entries: list { draw in
                MemberReport(
                    member: draw.id(),
                    incarnation: draw.number(),
                    epoch: draw.epoch(),
                    watermarks: draw.watermarks(),
                    beat: draw.number()
                )
            }
        )
    }

    private mutating func watermarks() -> Watermarks {
        var watermarks = Watermarks()
        watermarks.received = number()
        watermarks.wal = number()
        watermarks.disk = number()
        watermarks.applied = number()
        return watermarks
    }

    private mutating func welcome() -> Welcome {
        Welcome(
            nonce: number(),
            session: number(),
            history: id(),
            leadership: Leadership(epoch: epoch(), leader: id(), foundation: tail()),
            route: list { $0.id() },
            log: outline(),
            course: course()
        )
    }

    private mutating func course() -> Course {
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: .resume
        case 1: .cut(to: tail())
        case 2: .behind
        case 3: .ahead
        default: .foreign
        }
    }

    private mutating func pack() -> Pack {
        var pack = Pack(
            from: tail(),
            to: tail(),
            beginning: [],
            first: number(),
            size: number(),
            payload: 0
        )
        pack.beginning = list { $0.epoch() }
        pack.hashBefore = number()
        pack.isAwaitedOnDisk = flag()
        return pack
    }

    private mutating func offer() -> CopyOffer {
        CopyOffer(
            id: number(),
            kind: flag() ? .base : .delta,
            log: outline(),
            partCount: number()
        )
    }

    private mutating func part() -> CopyPart {
        CopyPart(copy: number(), index: number(), size: number(), payload: 0)
    }

    private mutating func beat() -> Beat {
        Beat(
            session: number(),
            epoch: epoch(),
            count: number(),
            tail: tail(),
            route: list { $0.id() }
        )
    }

    private mutating func reason() -> Refusal.Reason {
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: .wrongStore
        case 1: .fenced(by: epoch(), holder: maybe { $0.id() })
        case 2: .notLeader(hint: maybe { $0.id() })
        case 3: .behind(tail())
        case 4: .ahead(tail())
        case 5: .diverged
        case 6: .loop
        case 7: .wrongRole
        case 8: .busy
        default: .malformed
        }
    }

    private mutating func answer() -> Answer {
        Answer(
            nonce: number(),
            granted: maybe { $0.epoch() },
            promised: epoch(),
            holder: maybe { $0.id() },
            isSuspect: flag(),
            tail: tail()
        )
    }
}
