@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// The bytes of every frame, as `WireFormat` says them.
@Suite struct WireFormatTests {
    /// Every number is another one, so that no two fields can change places unnoticed.
    private struct Sample {
        private var last: UInt64 = 0

        mutating func number() -> UInt64 {
            last += 1
            return last
        }

        mutating func id() -> UniqueID { UniqueID(high: number(), low: number()) }

        mutating func epoch() -> Epoch { Epoch(number: number(), starter: number()) }

        mutating func tail() -> Tail {
            Tail(epoch: epoch(), sequence: number(), logHash: number())
        }

        mutating func outline() -> LogOutline {
            let entry = EpochEntry(
                epoch: epoch(),
                lastSequenceBefore: number(),
                logHashBefore: number()
            )
            return LogOutline(table: [entry], tail: tail())
        }

        mutating func watermarks() -> Watermarks {
            var watermarks = Watermarks()
            watermarks.received = number()
            watermarks.wal = number()
            watermarks.disk = number()
            watermarks.applied = number()
            return watermarks
        }
    }

    /// The fields of a message in hexadecimal, eight bytes of a small number as
    /// `.` and the number.
    private func fields(_ message: Message) throws -> String {
        let frames = try WireStream.frames(of: Packet(message: message, payload: []))
        try #require(frames.count == 1)
        return shortened(frames[0].dropFirst(28))
    }

    private func shortened(_ bytes: ArraySlice<UInt8>) -> String {
        var words: [String] = []
        var rest = bytes
        while let first = rest.first {
            let isNumber =
                first > 1 && rest.count >= 8 && rest.dropFirst().prefix(7).allSatisfy { $0 == 0 }
            words.append(isNumber ? ".\(first)" : String(hexadecimal(UInt64(first)).suffix(2)))
            rest = rest.dropFirst(isNumber ? 8 : 1)
        }
        return words.joined(separator: " ")
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { String(hexadecimal(UInt64($0)).suffix(2)) }.joined()
    }

    private func hexadecimal(_ value: UInt64) -> String { StorageEngine.hexadecimal(value) }

    @Test func framesHaveTheseBytes() throws {
        let take = Message.take(Take(session: 2, copy: 3, from: 4))
        let part = Message.part(session: 5, CopyPart(copy: 6, index: 7, size: 3, payload: 8))

        #expect(
            hexadecimal(WireStream.greeting.encoded())
                == "3400000001010000578e21b92ddfcb5353455245504c310a0100000001000000"
                + "0000000000000000000000000000000001000000000000000200000000000000"
                + "00001000"
        )
        #expect(hexadecimal(Rejection.replaced.encoded()) == "0100000002010000c5ced16d6b4aa26904")
        #expect(hexadecimal(WireFrame.heartbeat) == "000000000301000087bce591804c01e6")
        let whole = try WireStream.frames(of: Packet(message: take, payload: []))
            .map(hexadecimal)
        let pieces = try WireStream.frames(
            of: Packet(message: part, payload: [0xaa, 0xbb, 0xcc]),
            bodySizeMax: 40
        ).map(hexadecimal)

        #expect(
            whole == [
                "240000001201000052428356fa03559018000000000000000000000002000000"
                    + "0000000003000000000000000400000000000000"
            ]
        )
        #expect(
            pieces == [
                "2800000017010000a4062b87f042a4e220000000030000000000000005000000"
                    + "000000000600000000000000070000000000000003000000",
                "070000000401000039bf20629bffd1af00000000aabbcc",
            ]
        )
    }

    @Test func greetingsHaveTheseFields() throws {
        var sample = Sample()
        _ = sample.number()
        let hello = Hello(
            history: sample.id(),
            member: sample.id(),
            role: .observer,
            incarnation: sample.number(),
            attempt: sample.number(),
            nonce: sample.number(),
            promised: sample.epoch(),
            holder: nil,
            log: sample.outline(),
            isAdopting: true
        )
        let welcome = Welcome(
            nonce: sample.number(),
            session: sample.number(),
            history: sample.id(),
            leadership: Leadership(
                epoch: sample.epoch(),
                leader: sample.id(),
                foundation: sample.tail()
            ),
            route: [sample.id(), sample.id()],
            log: sample.outline(),
            course: .cut(to: sample.tail())
        )

        #expect(
            try fields(.hello(hello))
                == "01 .2 .3 .4 .5 01 .6 .7 .8 .9 .10 00 01 00 00 00 .11 .12 .13 .14 "
                + ".15 .16 .17 .18 01"
        )
        #expect(
            try fields(.welcome(welcome))
                == ".19 .20 .21 .22 .23 .24 .25 .26 .27 .28 .29 .30 02 00 00 00 .31 "
                + ".32 .33 .34 01 00 00 00 .35 .36 .37 .38 .39 .40 .41 .42 01 .43 .44 "
                + ".45 .46"
        )
    }

    @Test func whatFollowersSayHasTheseFields() throws {
        var sample = Sample()
        _ = sample.number()
        let follow = Follow(
            session: sample.number(),
            after: sample.tail(),
            granted: sample.number(),
            needsCopy: false,
            copy: sample.number()
        )
        let report = Report(
            session: sample.number(),
            promised: sample.epoch(),
            holder: sample.id(),
            granted: sample.number(),
            entries: [
                MemberReport(
                    member: sample.id(),
                    incarnation: sample.number(),
                    epoch: sample.epoch(),
                    watermarks: sample.watermarks(),
                    beat: sample.number()
                )
            ]
        )

        #expect(
            try fields(.follow(follow))
                == ".2 .3 .4 .5 .6 .7 00 01 .8"
        )
        #expect(
            try fields(.report(report))
                == ".9 .10 .11 01 .12 .13 .14 01 00 00 00 .15 .16 .17 .18 .19 .20 .21 "
                + ".22 .23 .24"
        )
    }

    @Test func whatFeedersSayHasTheseFields() throws {
        var sample = Sample()
        _ = sample.number()
        let session = sample.number()
        let epoch = sample.epoch()
        var pack = Pack(
            from: sample.tail(),
            to: sample.tail(),
            beginning: [],
            first: sample.number(),
            size: sample.number(),
            payload: 99
        )
        pack.beginning = [sample.epoch()]
        pack.isAwaitedOnDisk = true
        let offer = CopyOffer(
            id: sample.number(),
            kind: .delta,
            log: sample.outline(),
            partCount: sample.number()
        )
        let beat = Beat(
            session: sample.number(),
            epoch: sample.epoch(),
            count: sample.number(),
            tail: sample.tail(),
            route: [sample.id()]
        )

        #expect(
            try fields(.pack(session: session, epoch: epoch, pack))
                == ".2 .3 .4 01 00 00 00 .15 .16 .9 .10 .7 .8 .13 .11 .12 .14 01"
        )
        #expect(
            try fields(.offer(session: session, offer))
                == ".2 .17 01 01 00 00 00 .18 .19 .20 .21 .22 .23 .24 .25 .26"
        )
        #expect(
            try fields(.beat(beat))
                == ".27 .28 .29 .30 .31 .32 .33 .34 01 00 00 00 .35 .36"
        )
    }

    @Test func whatVotersSayHasTheseFields() throws {
        var sample = Sample()
        _ = sample.number()
        let consult = Consult(
            history: sample.id(),
            nonce: sample.number(),
            epoch: sample.epoch()
        )
        let answer = Answer(
            nonce: sample.number(),
            granted: sample.epoch(),
            promised: sample.epoch(),
            holder: sample.id(),
            isSuspect: true,
            tail: sample.tail()
        )

        #expect(
            try fields(.consult(consult))
                == ".2 .3 .4 01 .5 .6"
        )
        #expect(
            try fields(.answer(answer))
                == ".7 01 .8 .9 .10 .11 01 .12 .13 01 .14 .15 .16 .17"
        )
    }

    @Test func reasonsAndCoursesHaveTheseCodes() throws {
        var sample = Sample()
        _ = sample.number()
        let reasons: [Refusal.Reason] = [
            .wrongStore, .fenced(by: sample.epoch(), holder: sample.id()),
            .notLeader(hint: sample.id()), .notLeader(hint: nil), .behind(sample.tail()),
            .ahead(sample.tail()), .diverged, .loop, .wrongRole, .busy, .malformed,
        ]

        let encoded = try reasons.map { reason in
            try fields(.refusal(Refusal(about: 2, reason: reason)))
        }

        #expect(
            encoded == [
                ".2 00", ".2 01 .2 .3 01 .4 .5", ".2 02 01 .6 .7", ".2 02 00",
                ".2 03 .8 .9 .10 .11", ".2 04 .12 .13 .14 .15", ".2 05", ".2 06", ".2 07",
                ".2 08", ".2 09",
            ]
        )
        let codes = try [Course.resume, .behind, .ahead, .foreign].map { course in
            let welcome = Welcome(
                nonce: 0,
                session: 0,
                history: sample.id(),
                leadership: Leadership(epoch: .none, leader: sample.id(), foundation: .zero),
                route: [],
                log: .empty,
                course: course
            )
            return try fields(.welcome(welcome)).suffix(2)
        }
        #expect(codes == ["00", "02", "03", "04"])
    }

    @Test func everyRejectionIsUnderstood() throws {
        let all: [Rejection] = [
            .unsupported, .notAllowed, .tooManyConnections, .replaced, .malformed, .stopping,
        ]

        for (code, rejection) in zip(UInt8(1)..., all) {
            let events = try WireStream.events(in: rejection.encoded())

            #expect(rejection.rawValue == code)
            guard case .rejection(rejection) = events.first else {
                Issue.record("\(rejection) is not understood")
                continue
            }
        }
    }
}
