import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Packs: what goes in comes out, and nothing else does.
@Suite struct PackTests {
    @Test(arguments: UInt64(0)..<12)
    func whatIsPackedIsUnpacked(seed: UInt64) throws {
        let sizeMax = [1024, 4096, 262_144, PackFormat.sizeMax][Int(seed % 4)]
        let valueSizeMax = seed % 3 == 0 ? 6000 : 80
        let model = try PackModel(seed: seed, count: 150, valueSizeMax: valueSizeMax)
        let sink = PackSink(sizeMax: sizeMax)

        let packs = model.packs(sizeMax: sizeMax)
        for pack in packs { try sink.take(pack) }

        #expect(sink.records == model.records, "seed \(seed)")
        #expect(packs.allSatisfy { $0.count <= sizeMax }, "seed \(seed)")
        #expect(!sink.isWaiting)
        #expect(sink.hashes.last == model.hashAfter)
        // Each pack goes on where the one before ended, and only the first starts the epoch.
        #expect(sink.headers.first?.logHashBefore == PackModel.hashBefore)
        for (left, right) in zip(sink.headers, sink.headers.dropFirst()) {
            #expect(right.previousSequence == left.lastSequence)
            #expect(right.logHashBefore == left.logHashAfter)
            #expect(!right.flags.contains(.startsEpoch))
        }
        #expect(sink.headers.first?.flags.contains(.startsEpoch) == true)
    }

    @Test func aLargeRecordComesInParts() throws {
        var batch = WriteBatch()
        for key in ["a", "b"] {
            try batch.put([UInt8](repeating: 7, count: 8 << 20), for: key)
        }
        let operations = batch.withOperations { Array($0) }
        let head = RecordHead(sequence: 6, previousSequence: 5, stamp: 1)
        let model = PackModel([TestRecord(head: head, operations: operations)])
        let sink = PackSink(sizeMax: 256 << 10)

        let packs = model.packs(sizeMax: 256 << 10)
        for pack in packs { try sink.take(pack) }

        #expect(packs.count > 60)
        #expect(sink.records.count == 1 && sink.records.first == model.records.first)
    }

    @Test func everyFlippedByteIsNoticed() throws {
        for valueSizeMax in [20, 2000] {
            let model = try PackModel(seed: 3, count: 6, valueSizeMax: valueSizeMax)
            for pack in model.packs(sizeMax: 1024) {
                for index in pack.indices {
                    var damaged = pack
                    damaged[index] ^= UInt8(1 << (index % 8))

                    #expect(code(of: damaged) == .corruption, "byte \(index)")
                }
            }
        }
    }

    @Test func everyTruncationIsNoticed() throws {
        let pack = try #require(
            try PackModel(seed: 4, count: 5, valueSizeMax: 100).packs().first
        )
        for count in 0..<pack.count {
            #expect(code(of: Array(pack.prefix(count))) == .corruption, "\(count) bytes")
        }
        #expect(code(of: pack + [0]) == .corruption)
    }

    private func code(of pack: [UInt8]) -> EngineError.Code? {
        let sink = PackSink()
        do throws(EngineError) {
            try sink.take(pack)
            return nil
        } catch {
            return error.code
        }
    }

    // MARK: - Hostile packs, with the right checksums

    /// A pack of one small record, with another header around it.
    private func forged(
        raw: [UInt8]? = nil,
        _ change: (inout PackHeader) -> Void
    ) throws -> [UInt8] {
        let model = try PackModel(seed: 5, count: 1, valueSizeMax: 10)
        let pack = try #require(model.packs().first)
        var header = try pack.span.withUnsafeBytes { bytes throws(EngineError) in
            try PackHeader(decoding: bytes)
        }
        let payload = raw ?? Array(pack[PackFormat.headerSize...])
        header.rawSize = payload.count
        header.storedSize = payload.count
        header.flags.insert(.storedRaw)
        header.payloadHash = payload.withUnsafeBytes { Checksum.xxh3($0) }
        change(&header)
        let encoded = header.encoded()
        return Array(encoded.bytes) + payload
    }

    @Test func theForgeryItselfIsGood() throws {
        #expect(code(of: try forged { _ in }) == nil)
    }

    @Test func impossibleHeadersAreRefused() throws {
        let changes: [(inout PackHeader) -> Void] = [
            { $0.lastSequence = $0.firstSequence - 1 }, { $0.previousSequence = $0.firstSequence },
            { $0.lastSequence = .max }, { $0.recordCount = 0 }, { $0.recordCount = 1_000_000 },
            { $0.recordCount += 1 }, { $0.lastSequence += 1 }, { $0.firstSequence += 1 },
            { $0.rawSize += 1 }, { $0.rawSize = 0 }, { $0.rawSize = PackFormat.recordSizeMax },
            { $0.storedSize += 1 }, { $0.storedSize = 0 }, { $0.logHashBefore ^= 1 },
            { $0.logHashAfter ^= 1 }, { $0.flags.remove(.startsEpoch) },
            { $0.flags.remove(.storedRaw) }, { $0.flags.insert(PackHeader.Flags(rawValue: 8)) },
            { $0.flags.insert(.part) }, { $0.partStart = 1 }, { $0.recordSize = 100 },
            {
                $0.flags.insert(.part)
                $0.recordSize = 1
            },
            {
                $0.flags = [.part, .startsEpoch]
                $0.recordSize = PackFormat.recordSizeMax
                $0.rawSize = PackFormat.recordSizeMax - 1
            },
        ]
        for (index, change) in changes.enumerated() {
            #expect(code(of: try forged(change)) == .corruption, "change \(index)")
        }
    }

    @Test func aPackOverTheSizeAgreedOnIsRefusedBeforeMemoryIsTaken() throws {
        let model = try PackModel(seed: 6, count: 400, valueSizeMax: 100)
        let pack = try #require(model.packs().first)
        let sink = PackSink(sizeMax: 1024)

        #expect { try sink.take(pack) } throws: {
            ($0 as? EngineError)?.code == .invalidArgument
        }
    }

    @Test func recordsThatDoNotDecodeAreRefused() throws {
        // An unknown kind of record, an unknown operation, and a key that is cut short.
        let payloads: [([UInt8], EngineError.Code)] = [
            ([9, 1, 0, 0], .unsupportedFormat), ([1, 1, 0, 2, 9, 0], .unsupportedFormat),
            ([1, 1, 0, 4, 1, 0, 9, 1], .corruption), ([1, 0, 0, 0], .corruption),
            ([1, 1, 0x80, 0x80], .corruption),
        ]
        for (payload, expected) in payloads {
            let pack = try forged(raw: payload) {
                $0.firstSequence = 6
                $0.lastSequence = 6
            }
            #expect(code(of: pack) == expected, "\(payload)")
        }
    }

    @Test func stampsThatGoDownOrHaveNoNextAreRefused() throws {
        for stamps in [[5, 4], [UInt64.max, .max], [(1 << 63) + 1, (1 << 63) + 2]] as [[UInt64]] {
            let records = stamps.enumerated().map { index, stamp in
                TestRecord(
                    head: RecordHead(
                        sequence: UInt64(index) + 6,
                        previousSequence: UInt64(index) + 5,
                        stamp: stamp
                    ),
                    operations: []
                )
            }
            let pack = try #require(PackModel(records).packs().first)

            #expect(code(of: pack) == .corruption, "\(stamps)")
        }
    }

    @Test func aNewerVersionIsUnsupported() throws {
        var pack = try forged { _ in }
        pack[8] = 2
        let checksum = Array(pack[..<152]).withUnsafeBytes { Checksum.xxh3($0) }
        for index in 0..<8 {
            pack[152 + index] = UInt8(truncatingIfNeeded: checksum >> (8 * index))
        }

        #expect(code(of: pack) == .unsupportedFormat)
    }

    // MARK: - Parts

    /// Parts of one record, and a pack behind it.
    private func parts(seed: UInt64 = 8) throws -> (model: PackModel, packs: [[UInt8]]) {
        var generator = SeededGenerator(seed: seed)
        let value = (0..<4000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        var records: [TestRecord] = []
        for (sequence, value) in [(6, value), (7, [1])] as [(UInt64, [UInt8])] {
            var batch = WriteBatch()
            try batch.put(value, for: "k")
            let head = RecordHead(sequence: sequence, previousSequence: sequence - 1, stamp: 1)
            records.append(
                TestRecord(head: head, operations: batch.withOperations { Array($0) })
            )
        }
        let model = PackModel(records)
        return (model, model.packs(sizeMax: 1024))
    }

    @Test func partsThatComeTwiceAreTakenOnce() throws {
        let (model, packs) = try parts()
        let sink = PackSink(sizeMax: 1024)

        for index in [0, 1, 1, 0, 2, 3, 2] { try sink.take(packs[index]) }
        #expect(sink.records.isEmpty && sink.isWaiting)
        for index in 4..<packs.count { try sink.take(packs[index]) }

        #expect(sink.records == model.records)
    }

    @Test func aRecordThatWasBegunCanBeBegunAnew() throws {
        let (model, packs) = try parts()
        let (_, other) = try parts(seed: 9)
        let sink = PackSink(sizeMax: 1024)

        for pack in other.prefix(2) + packs { try sink.take(pack) }

        #expect(sink.records == model.records)
    }

    @Test func missingPartsAreGaps() throws {
        let (_, packs) = try parts()
        for order in [[1], [0, 2], [0, 1, packs.count - 1]] {
            let sink = PackSink(sizeMax: 1024)
            for index in order.dropLast() { try sink.take(packs[index]) }

            #expect { try sink.take(packs[order[order.count - 1]]) } throws: {
                ($0 as? EngineError)?.code == .logGap
            }
            #expect(sink.records.isEmpty && !sink.isWaiting)
        }
    }
}
