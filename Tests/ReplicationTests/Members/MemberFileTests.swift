import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// The bytes of MEMBER, COPY and of contents.
@Suite struct MemberFileTests {
    private static let id = UniqueID(high: 0x1122_3344_5566_7788, low: 0x99aa_bbcc_ddee_ff00)

    private static var record: MemberRecord {
        var record = MemberRecord(memberID: id)
        record.storeNumber = 3
        record.storeID = UniqueID(high: 4, low: 5)
        record.mark.history = UniqueID(high: 6, low: 7)
        record.mark.incarnation = 8
        record.mark.promised = Epoch(number: 9, starter: 10)
        record.mark.holder = UniqueID(high: 11, low: 12)
        record.mark.leads = true
        record.mark.standing = .suspect
        record.closed = Tail(
            epoch: Epoch(number: 13, starter: 14),
            sequence: 15,
            logHash: 16
        )
        return record
    }

    private static var offer: CopyOffer {
        let entry = EpochEntry(
            epoch: Epoch(number: 1, starter: 2),
            lastSequenceBefore: 0,
            logHashBefore: 0
        )
        let tail = Tail(epoch: entry.epoch, sequence: 9, logHash: 10)
        let log = LogOutline(table: [entry], tail: tail)
        return CopyOffer(id: 11, kind: .base, log: log, partCount: 12)
    }

    private static let entries = [
        CopyFormat.Entry(name: .store, size: 120, checksum: 1),
        CopyFormat.Entry(name: .segment(7), size: 5_000, checksum: 2),
    ]

    /// Little-endian words.
    private func bytes(_ words: [UInt64]) -> [UInt8] {
        words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
    }

    @Test func theMarkHasTheseBytes() throws {
        let found = MemberFile.encode(Self.record)
        let expected =
            Array("SEMEMBR\n".utf8)
            + bytes([
                1 | 184 << 32, 0, 0, 0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00, 3, 4, 5, 6, 7,
                8, 9, 10, 11, 12, 31 | 2 << 32, 13, 14, 15, 16, 0,
            ])
        #expect(Array(found.dropLast(8)) == expected)
        #expect(found.count == MemberFile.size)
        #expect(try MemberFile.decode(found) == Self.record)
        let empty = MemberRecord(memberID: Self.id)
        #expect(try MemberFile.decode(MemberFile.encode(empty)) == empty)
    }

    @Test func contentsAndOffersHaveTheseBytes() throws {
        let contents = CopyFormat.encode(Self.entries)
        let expected =
            Array("SECOPY1\n".utf8) + bytes([103, 2, 120, 1, 5]) + Array("STORE".utf8)
            + bytes([5_000, 2, 18]) + Array("0000000007.segment".utf8)
        #expect(Array(contents.dropLast(8)) == expected)
        #expect(contents.count == 103)
        #expect(try CopyFormat.contentsSize(contents) == 103)
        #expect(try CopyFormat.decode(contents) == Self.entries)
        let offer = CopyFormat.encode(Self.offer, contents: contents)
        let head =
            Array("SEOFFER\n".utf8) + bytes([223, 11, 0, 12, 1, 2, 9, 10, 1, 1, 2, 0, 0])
        #expect(Array(offer.prefix(head.count)) == head)
        let decoded = try CopyFormat.decodeOffer(offer)
        #expect(decoded.offer == Self.offer)
        #expect(decoded.contents == contents)
    }

    @Test func everyChangedByteAndEveryLengthIsRefused() throws {
        let contents = CopyFormat.encode(Self.entries)
        let files: [([UInt8], ([UInt8]) throws -> Void)] = [
            (MemberFile.encode(Self.record), { _ = try MemberFile.decode($0) }),
            (contents, { _ = try CopyFormat.decode($0) }),
            (
                CopyFormat.encode(Self.offer, contents: contents),
                { _ = try CopyFormat.decodeOffer($0) }
            ),
        ]
        for (bytes, decode) in files {
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 0x10
                #expect(throws: EngineError.self) { try decode(changed) }
            }
            for length in 0..<bytes.count {
                #expect(throws: EngineError.self) { try decode(Array(bytes.prefix(length))) }
            }
        }
    }

    @Test func sizesThatCannotBeAddedAreRefused() throws {
        let entries = (1...256).map {
            CopyFormat.Entry(name: .segment($0), size: 1 << 56 - 1, checksum: 0)
        }
        #expect(throws: EngineError.self) { try CopyFormat.decode(CopyFormat.encode(entries)) }
        #expect(try CopyFormat.decode(CopyFormat.encode([entries[0]])).count == 1)
    }

    @Test func hostileContentsWithARightChecksumAreRefused() throws {
        var generator = SeededGenerator(seed: 5)
        let contents = CopyFormat.encode(Self.entries)
        let offer = CopyFormat.encode(Self.offer, contents: contents)
        for _ in 0..<3_000 {
            for original in [contents, offer] {
                var bytes = Array(original.dropLast(8))
                for _ in 0..<Int.random(in: 1...4, using: &generator) {
                    let index = Int.random(in: 8..<bytes.count, using: &generator)
                    bytes[index] = UInt8.random(in: 0...255, using: &generator)
                }
                let sealed = resealed(bytes)
                do {
                    if original == contents {
                        let found = try CopyFormat.decode(sealed)
                        #expect(found.count <= 2)
                    } else {
                        let found = try CopyFormat.decodeOffer(sealed)
                        #expect(found.offer.log.isWellFormed)
                    }
                } catch {
                    #expect(error.code == .corruption)
                }
            }
        }
        let names = CopyFormat.encode([
            CopyFormat.Entry(name: .lock, size: 1, checksum: 1)
        ])
        #expect(throws: EngineError.self) { try CopyFormat.decode(names) }
    }

    private func resealed(_ bytes: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        for byte in bytes { buffer.append(byte) }
        let checksum = unsafe Checksum.xxh3(buffer.bytes)
        buffer.append(checksum)
        return buffer.contents
    }

    @Test func aCopyInPartsIsWhatWasHandedOut() throws {
        let place = TemporaryDirectory()
        let directory = try StoreDirectory.open(path: place.path, in: PosixFileSystem())
        var options = Engine.Options.quiet
        options.isMember = true
        options.writeBufferSize = 16_384
        let engine = try Engine.open(at: "\(place.path)/leader", options: options)
        try engine.lead(Epoch(number: 1, starter: 1))
        var generator = SeededGenerator(seed: 6)
        for number in 0..<900 {
            let value = (0..<900).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try engine.put(value, for: "\(number)", ack: .memory)
        }
        let copies = OutgoingCopies(directory: directory, rate: nil, isOpen: { true }) { _ in }
        let offer = try copies.offer(
            of: engine,
            since: .zero,
            isWhole: false,
            id: { 77 },
            now: { 0 }
        )
        #expect(offer.partCount > 3)
        // The same is offered again.
        let again = try copies.offer(
            of: engine,
            since: .zero,
            isWhole: true,
            id: { 78 },
            now: { 0 }
        )
        #expect(again == offer)
        var incoming = IncomingCopy(directory: directory, number: 2)
        for index in 0..<offer.partCount {
            let part = try #require(try copies.part(index, of: 77, now: 0))
            try incoming.take(part, index: index, of: offer)
            guard index % 2 == 1 else { continue }
            // Opened again after each second part.
            incoming = IncomingCopy(directory: directory, number: 2)
            let partial = try #require(try incoming.restore())
            #expect(partial == PartialCopy(offer: offer, next: index + 1))
        }
        #expect(try copies.part(offer.partCount, of: 77, now: 0) == nil)
        #expect(try copies.part(0, of: 78, now: 0) == nil)
        let wrong = #expect(throws: EngineError.self) {
            try incoming.finish(offer, history: Self.id)
        }
        #expect(wrong?.code == .wrongStore)
        let interrupted = #expect(throws: EngineError.self) {
            try incoming.finish(offer, history: engine.historyID) { false }
        }
        #expect(interrupted?.code == .closed, "it is whole the next time")
        _ = try incoming.finish(offer, history: engine.historyID)
        let path = "\(place.path)/\(MemberDirectory.store(2))"
        let before = try Engine.history(at: path, options: options, environment: .system())
        #expect(try before == engine.history())
        #expect(try IncomingCopy(directory: directory, number: 2).restore()?.offer == offer)
        try incoming.settle()
        #expect(try IncomingCopy(directory: directory, number: 2).restore() == nil)
        let adopted = try Engine.open(at: path, options: options)
        #expect(try adopted.history() == engine.history())
        try adopted.close()
        copies.removeAll()
        #expect(engine.slots.isEmpty)
        try engine.close()
    }

    @Test func partsThatAreNotWhatWasOfferedAreRefused() throws {
        let place = TemporaryDirectory()
        let directory = try StoreDirectory.open(path: place.path, in: PosixFileSystem())
        let incoming = IncomingCopy(directory: directory, number: 2)
        let part = [UInt8](repeating: 0, count: Int(CopyFormat.partSize))
        #expect(throws: EngineError.self) { try incoming.take(part, index: 3, of: Self.offer) }
        #expect(throws: EngineError.self) { try incoming.take(part, index: 0, of: Self.offer) }
        #expect(throws: EngineError.self) { try incoming.take([1], index: 0, of: Self.offer) }
        // Contents for another number of parts.
        var whole = CopyFormat.encode(Self.entries)
        whole += [UInt8](repeating: 1, count: Int(CopyFormat.partSize) - whole.count)
        #expect(throws: EngineError.self) { try incoming.take(whole, index: 0, of: Self.offer) }
        #expect(throws: EngineError.self) {
            try incoming.finish(Self.offer, history: Self.id)
        }
        #expect(try IncomingCopy(directory: directory, number: 2).restore() == nil)
    }
}
