@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// What is encoded decodes to the same, and nothing else does.
@Suite struct WireRoundTripTests {
    @Test(arguments: 0..<40) func everyMessageDecodesToItself(seed: Int) throws {
        var source = RandomMessages(seed: UInt64(seed))
        var packets: [Packet] = []
        for kind in 0..<RandomMessages.kindCount {
            let message = source.message(kind)
            packets.append(Packet(message: message, payload: source.payload(of: message)))
        }

        for (bodySizeMax, step) in [(1 << 20, Int.max), (1024, 7), (1024, 4096)] {
            var bytes = WireStream.greeting.encoded()
            for packet in packets {
                bytes += try WireStream.frames(of: packet, bodySizeMax: bodySizeMax).joined()
                bytes += WireFrame.heartbeat
            }
            let decoded = try WireStream.packets(in: bytes, step: step)

            #expect(decoded.map(\.message) == packets.map(\.message), "seed \(seed)")
            #expect(decoded.map(\.payload) == packets.map(\.payload), "seed \(seed)")
        }
    }

    @Test(arguments: 0..<40) func whatDecodesHasNoOtherBytes(seed: Int) throws {
        var source = RandomMessages(seed: UInt64(seed))
        for kind in 0..<RandomMessages.kindCount {
            let packet = Packet(message: source.message(kind), payload: [])
            let bytes = Array(try WireStream.frames(of: packet).joined())

            let decoded = try #require(
                try WireStream.packets(in: WireStream.greeting.encoded() + bytes).first
            )

            #expect(Array(try WireStream.frames(of: decoded).joined()) == bytes)
        }
    }

    @Test func aPayloadThatFillsManyFramesComesWhole() throws {
        var source = RandomMessages(seed: 1)
        let payload = source.bytes(300_000)
        let packet = Packet(message: source.message(5), payload: payload)

        let frames = try WireStream.frames(of: packet, bodySizeMax: 65_536)
        let stream = WireStream.greeting.encoded() + frames.joined()

        #expect(frames.count == 5)
        #expect(frames.allSatisfy { $0.count <= 65_536 + WireFormat.frameHeaderSize })
        #expect(try WireStream.packets(in: stream, step: 1000).map(\.payload) == [payload])
    }

    @Test func anOutlineOfManyEpochsComesWhole() throws {
        let table = (1...UInt64(100_000)).map { number in
            EpochEntry(
                epoch: Epoch(number: number, starter: 7),
                lastSequenceBefore: number,
                logHashBefore: number
            )
        }
        let tail = Tail(epoch: table[99_999].epoch, sequence: 1 << 20, logHash: 3)
        let offer = CopyOffer(
            id: 1,
            kind: .base,
            log: LogOutline(table: table, tail: tail),
            partCount: 2
        )
        let packet = Packet(message: .offer(session: 9, offer), payload: [])

        let stream = try WireStream.greeting.encoded() + WireStream.frames(of: packet).joined()

        #expect(try WireStream.packets(in: stream).map(\.message) == [packet.message])
    }

    @Test func namesOfPayloadsAreNotSent() throws {
        let part = CopyPart(copy: 1, index: 2, size: 3, payload: 0x1234)
        let packet = Packet(message: .part(session: 4, part), payload: [5, 6, 7])

        let stream = try WireStream.greeting.encoded() + WireStream.frames(of: packet).joined()

        let received = try #require(try WireStream.packets(in: stream).first)
        let expected = CopyPart(copy: 1, index: 2, size: 3, payload: 0)
        #expect(received.message == .part(session: 4, expected))
        #expect(received.payload == [5, 6, 7])
    }

    @Test func whatNoReceiverTakesIsNotEncoded() {
        let route = [UniqueID](repeating: WireStream.member, count: 2000)
        let beat = Beat(session: 1, epoch: .none, count: 1, tail: .zero, route: route)
        var limits = WireLimits()
        limits.payloadSizeMax = 10
        let part = Message.part(session: 1, CopyPart(copy: 1, index: 1, size: 11, payload: 1))

        #expect(
            failure { () throws(WireFailure) in
                try PacketEncoder(Packet(message: .beat(beat), payload: []))
            } == .tooLarge(.beat, size: 32_068, max: 1024 + 16 * 1024)
        )
        #expect(
            failure { () throws(WireFailure) in
                let payload = [UInt8](repeating: 0, count: 11)
                return try PacketEncoder(Packet(message: part, payload: payload), limits: limits)
            } == .tooLarge(.part, size: 11, max: 10)
        )
    }
}
