@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// Whatever others send, a member does not trap, and gives nothing away.
@Suite struct HostileTests {
    private struct Liar {
        var generator: SeededGenerator
        var known: [UInt64] = []
        var epochs: [Epoch] = [.none]

        mutating func number() -> UInt64 {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: 0
            case 1: .max
            case 2: .max - UInt64.random(in: 0...3, using: &generator)
            case 3: UInt64.random(in: 0...4, using: &generator)
            case 4: known.randomElement(using: &generator) ?? 1
            default: generator.next()
            }
        }

        mutating func epoch() -> Epoch {
            Bool.random(using: &generator)
                ? epochs.randomElement(using: &generator) ?? .none
                : Epoch(number: number(), starter: number())
        }

        mutating func id() -> UniqueID {
            CoreHarness.id(UInt64.random(in: 1...5, using: &generator))
        }

        mutating func history() -> UniqueID {
            Int.random(in: 0..<4, using: &generator) == 0 ? id() : CoreHarness.history
        }

        mutating func tail() -> Tail {
            Tail(epoch: epoch(), sequence: number(), logHash: number())
        }

        mutating func outline() -> LogOutline {
            guard Int.random(in: 0..<3, using: &generator) > 0 else { return .empty }
            var table: [EpochEntry] = []
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                table.append(
                    EpochEntry(
                        epoch: epoch(),
                        lastSequenceBefore: number(),
                        logHashBefore: number()
                    )
                )
            }
            if Bool.random(using: &generator) {
                table.sort { $0.epoch.number < $1.epoch.number }
            }
            let end = tail()
            let last = Tail(
                epoch: table.last?.epoch ?? .none,
                sequence: end.sequence,
                logHash: end.logHash
            )
            return LogOutline(table: table, tail: last)
        }

        mutating func pack() -> Pack {
            var pack = Pack(
                from: tail(),
                to: tail(),
                beginning: Bool.random(using: &generator) ? [] : [epoch()],
                first: number(),
                size: number(),
                payload: number()
            )
            pack.hashBefore = number()
            return pack
        }

        mutating func watermarks() -> Watermarks {
            var watermarks = Watermarks()
            watermarks.received = number()
            watermarks.wal = number()
            watermarks.disk = number()
            watermarks.applied = number()
            return watermarks
        }

        mutating func course() -> Course {
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: .resume
            case 1: .cut(to: tail())
            default: .behind
            }
        }

        mutating func message(from sender: UniqueID) -> Message {
            switch Int.random(in: 0..<12, using: &generator) {
            case 0:
                let log = outline()
                return .hello(
                    Hello(
                        history: log.isEmpty ? nil : history(),
                        member: sender,
                        role: Bool.random(using: &generator) ? .voter : .observer,
                        incarnation: number(),
                        attempt: number(),
                        nonce: number(),
                        promised: epoch(),
                        holder: id(),
                        log: log,
                        isAdopting: Bool.random(using: &generator)
                    )
                )
            case 1:
                return .follow(
                    Follow(
                        session: number(),
                        after: tail(),
                        granted: number(),
                        needsCopy: Bool.random(using: &generator),
                        copy: number()
                    )
                )
            case 2: return .take(Take(session: number(), copy: number(), from: number()))
            case 3: return .report(report())
            case 4:
                return .welcome(
                    Welcome(
                        nonce: number(),
                        session: number(),
                        history: history(),
                        leadership: Leadership(epoch: epoch(), leader: id(), foundation: tail()),
                        route: [sender],
                        log: outline(),
                        course: course()
                    )
                )
            default: return fed()
            }
        }

        mutating func report() -> Report {
            let entry = MemberReport(
                member: id(),
                incarnation: number(),
                epoch: epoch(),
                watermarks: watermarks(),
                beat: number()
            )
            return Report(
                session: number(),
                promised: epoch(),
                holder: id(),
                granted: number(),
                entries: [entry]
            )
        }

        mutating func fed() -> Message {
            switch Int.random(in: 0..<7, using: &generator) {
            case 0: return .pack(session: number(), epoch: epoch(), pack())
            case 1:
                return .offer(
                    session: number(),
                    CopyOffer(id: number(), kind: .base, log: outline(), partCount: number())
                )
            case 2:
                return .part(
                    session: number(),
                    CopyPart(copy: number(), index: number(), size: number(), payload: 0)
                )
            case 3:
                return .beat(
                    Beat(
                        session: number(),
                        epoch: epoch(),
                        count: number(),
                        tail: tail(),
                        route: [id()]
                    )
                )
            case 4:
                return .refusal(
                    Refusal(about: number(), reason: .fenced(by: epoch(), holder: id()))
                )
            case 5:
                let asked: Epoch? = Bool.random(using: &generator) ? epoch() : nil
                return .consult(Consult(history: history(), nonce: number(), epoch: asked))
            default:
                let granted: Epoch? = Bool.random(using: &generator) ? epoch() : nil
                return .answer(
                    Answer(
                        nonce: number(),
                        granted: granted,
                        promised: epoch(),
                        holder: id(),
                        isSuspect: Bool.random(using: &generator),
                        tail: tail()
                    )
                )
            }
        }

        /// Remembers what a member said, so as to lie better.
        mutating func hear(_ message: Message) {
            switch message {
            case .hello(let hello): known.append(hello.nonce)
            case .welcome(let welcome): known.append(welcome.session)
            case .consult(let consult): known.append(consult.nonce)
            default: break
            }
            if known.count > 8 { known.removeFirst() }
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func nothingThatIsReceivedTraps(_ seed: UInt64) throws {
        var liar = Liar(generator: SeededGenerator(seed: seed))
        var member =
            seed % 2 == 0 ? try CoreHarness.leader(voters: 4) : try CoreHarness(1, of: (4, 1))
        for step in 0..<400 {
            let sender = UInt64.random(in: 2...5, using: &liar.generator)
            liar.epochs = [member.mark.promised, member.core.log.tail.epoch]
            member.receive(liar.message(from: CoreHarness.id(sender)), from: sender)
            if step % 5 == 0 { member.tick(after: 100) }
            if step % 50 == 0 { member.give(.promote(acceptLoss: true)) }
            if member.core.leadership != nil, step % 7 == 0 { try member.append() }
            for (message, _) in member.sent { liar.hear(message) }
            member.clear()
            #expect(member.core.log.isWellFormed, "seed \(seed), step \(step)")
            #expect(member.mark.promised.number < 1 << 63, "seed \(seed), step \(step)")
        }
    }
}
