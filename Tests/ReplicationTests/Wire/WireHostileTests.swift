@testable import Replication
import StorageEngine
import StorageEngineTestSupport
import Testing

/// Whatever comes, a decoder says what is wrong with it, takes no memory for it, and never traps.
@Suite struct WireHostileTests {
    private static let greeting = WireStream.greeting.encoded()

    /// A frame with any header and a right checksum.
    private func frame(
        type: UInt8,
        _ body: [UInt8],
        version: UInt8 = 1,
        flags: UInt16 = 0,
        size: Int? = nil
    ) -> [UInt8] {
        let start =
            UInt64(size ?? body.count) | UInt64(type) << 32 | UInt64(version) << 40
            | UInt64(flags) << 48
        let checksum = unsafe body.withUnsafeBytes { unsafe Checksum.xxh3($0, seed: start) }
        return little(start) + little(checksum) + body
    }

    private func little<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
        (0..<Value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    private func message(
        _ type: FrameType,
        fields: [UInt8],
        fieldsSize: UInt32? = nil,
        payloadSize: UInt64 = 0
    ) -> [UInt8] {
        let size = fieldsSize ?? UInt32(fields.count)
        return frame(type: type.rawValue, little(size) + little(payloadSize) + fields)
    }

    private func failureAfterGreeting(
        _ bytes: [UInt8],
        _ limits: WireLimits = WireLimits()
    ) -> WireFailure? {
        failure { () throws(WireFailure) in
            try WireStream.events(in: Self.greeting + bytes, limits: limits)
        }
    }

    @Test(arguments: 0..<RandomMessages.kindCount)
    func everyFlippedByteIsNoticed(kind: Int) throws {
        var source = RandomMessages(seed: UInt64(kind))
        let message = source.message(kind)
        let payload = source.payload(of: message).prefix(50)
        let packet = Packet(message: message, payload: Array(payload))
        let bytes = Self.greeting + (try WireStream.frames(of: packet).joined())

        for index in bytes.indices {
            for bit in [0, 3, 7] {
                var flipped = bytes
                flipped[index] ^= 1 << bit
                let messages = try? WireStream.packets(in: flipped).map(\.message)
                // A larger size waits for bytes that do not come.
                #expect(messages ?? [] == [], "kind \(kind), byte \(index), bit \(bit)")
            }
        }
    }

    @Test(arguments: 0..<200) func randomBytesAreRefused(seed: Int) {
        var source = RandomMessages(seed: UInt64(seed))
        let bytes = source.bytes(seed * 10)

        #expect(failureAfterGreeting(bytes) != nil || bytes.count < 16, "seed \(seed)")
        #expect((try? WireStream.events(in: bytes)) == nil || bytes.count < 16, "seed \(seed)")
    }

    /// Behind a right checksum the fields themselves are checked.
    @Test(arguments: 0..<300) func changedFieldsAreRefusedOrDecode(seed: Int) throws {
        var source = RandomMessages(seed: UInt64(seed))
        let type = try #require(FrameType(rawValue: 16 + UInt8(seed % 12)))
        let packet = Packet(message: source.message(Int(type.rawValue) % 12), payload: [])
        var frame = Array(try WireStream.frames(of: packet).joined())
        for change in source.bytes(4) {
            frame[28 + Int(change) % (frame.count - 28)] &+= change
        }
        let resealed = self.frame(type: type.rawValue, Array(frame[16...]))

        let decoded = failure { () throws(WireFailure) in
            try WireStream.events(in: Self.greeting + resealed)
        }

        if let decoded { #expect(decoded == .malformed(type), "seed \(seed)") }
    }

    @Test func nothingIsSaidBeforeTheGreeting() throws {
        let beat = Beat(session: 1, epoch: .none, count: 1, tail: .zero, route: [])
        let packet = Packet(message: .beat(beat), payload: [])
        let request = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        let clientHello = [0x16, 3, 1, 0, 200] + [UInt8](repeating: 9, count: 200)
        let openings = [
            Array(try WireStream.frames(of: packet).joined()), WireFrame.heartbeat, request,
            clientHello, frame(type: 1, [UInt8](repeating: 1, count: 60)),
        ]

        for opening in openings {
            #expect(
                failure { () throws(WireFailure) in try WireStream.events(in: opening) }
                    == .notGreeting
            )
        }
    }

    @Test func aGreetingIsSmall() {
        let body = [UInt8](repeating: 0, count: 257)

        let refused = failure { () throws(WireFailure) in
            try WireStream.events(in: frame(type: 1, body))
        }

        #expect(refused == .tooLarge(.greeting, size: 257, max: 256))
    }

    @Test func greetingsOfLaterVersionsAreUnderstood() throws {
        var bytes = Array(Self.greeting[16...])
        bytes[12] = 9  // versionMax

        let events = try WireStream.events(in: frame(type: 1, bytes + [1, 2, 3]))

        guard case .greeting(let greeting) = events.first else {
            Issue.record("no greeting")
            return
        }
        #expect(greeting.versions == 1...9)
        #expect(try greeting.agreedVersion() == 1)
    }

    @Test func unknownVersionsAndFeaturesAreRefused() {
        var later = WireStream.greeting
        later.versions = 2...3
        var older = WireStream.greeting
        older.versions = 0...0
        var demanding = WireStream.greeting
        demanding.requiredFeatures = 4
        var modest = WireStream.greeting
        modest.ignorableFeatures = 4

        let failures = [later, older, demanding, modest].map { greeting in
            failure { () throws(WireFailure) in try WireStream.events(in: greeting.encoded()) }
        }

        #expect(
            failures == [
                .unsupportedVersions(min: 2, max: 3), .unsupportedVersions(min: 0, max: 0),
                .unsupportedFeatures(4), nil,
            ]
        )
    }

    @Test func everyHeaderThatIsWrongIsTold() {
        #expect(failureAfterGreeting(frame(type: 99, [])) == .unknownType(99))
        #expect(failureAfterGreeting(frame(type: 3, [], version: 2)) == .wrongVersion(2))
        #expect(failureAfterGreeting(frame(type: 3, [], flags: 1)) == .wrongFlags(1))
        #expect(failureAfterGreeting(frame(type: 3, [1])) == .malformed(.heartbeat))
        #expect(failureAfterGreeting(Self.greeting) == .unexpected(.greeting))
        #expect(failureAfterGreeting(frame(type: 4, [1])) == .unexpected(.piece))
        var damaged = WireFrame.heartbeat
        damaged[9] ^= 1
        #expect(failureAfterGreeting(damaged) == .wrongChecksum)
        #expect(
            failureAfterGreeting(frame(type: 3, [], size: 1 << 30))
                == .tooLarge(.heartbeat, size: 1 << 30, max: 1 << 20)
        )
    }

    @Test func sizesAreCheckedBeforeTheContent() {
        var limits = WireLimits()
        limits.payloadSizeMax = 1000
        let tooMany = message(.take, fields: [], fieldsSize: 5000)
        let tooLong = message(.pack, fields: [], payloadSize: 1001)
        let payload = message(.take, fields: [], payloadSize: 1)

        #expect(
            failureAfterGreeting(tooMany, limits) == .tooLarge(.take, size: 5000, max: 1024)
        )
        #expect(
            failureAfterGreeting(tooLong, limits) == .tooLarge(.pack, size: 1001, max: 1000)
        )
        #expect(failureAfterGreeting(payload, limits) == .tooLarge(.take, size: 1, max: 0))
    }

    @Test func countsThatDoNotFitAreRefused() {
        let ids = [UInt8](repeating: 0, count: 8 + 16 + 8 + 32)
        let route = ids + little(UInt32.max)
        let short = ids + little(UInt32(3)) + [UInt8](repeating: 0, count: 47)

        #expect(failureAfterGreeting(message(.beat, fields: route)) == .malformed(.beat))
        #expect(failureAfterGreeting(message(.beat, fields: short)) == .malformed(.beat))
    }

    @Test func bytesThatAreLeftOverAreRefused() {
        let take = [UInt8](repeating: 0, count: 24)

        #expect(failureAfterGreeting(message(.take, fields: take)) == nil)
        #expect(failureAfterGreeting(message(.take, fields: take + [0])) == .malformed(.take))
        #expect(
            failureAfterGreeting(message(.take, fields: take + [0], fieldsSize: 24))
                == .malformed(.take)
        )
    }

    @Test func onlyHeartbeatsComeBetweenPieces() {
        let begun = message(.take, fields: [], fieldsSize: 24)
        let half = frame(type: 4, [UInt8](repeating: 0, count: 12))
        let other = message(.take, fields: [UInt8](repeating: 0, count: 24))

        #expect(failureAfterGreeting(begun + half + WireFrame.heartbeat + half) == nil)
        #expect(failureAfterGreeting(begun + other) == .unexpected(.take))
        #expect(failureAfterGreeting(begun + frame(type: 4, [])) == .malformed(.piece))
        #expect(failureAfterGreeting(begun + half + half + half) == .unexpected(.piece))
    }

    /// What is announced takes nothing.
    @Test func memoryGrowsWithWhatCame() throws {
        var decoder = WireDecoder()
        let begun = message(
            .pack,
            fields: [1, 2, 3],
            fieldsSize: 1 << 20,
            payloadSize: UInt64(PackFormat.recordSizeMax)
        )

        for bytes in [Self.greeting, begun] {
            var consumed = 0
            _ = try unsafe bytes.withUnsafeBytes { bytes in
                Result { () throws(WireFailure) in
                    try unsafe decoder.next(bytes, consumed: &consumed)
                }
            }.get()
            #expect(consumed == bytes.count)
        }

        #expect(decoder.heldSize == 3)
    }
}
