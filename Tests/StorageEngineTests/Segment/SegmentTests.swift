import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct SegmentTests {
    @Test(arguments: UInt64(0)..<60)
    func lookupsFindTheNewestVersionAtOrBelowASequence(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let model = try SegmentModel(cacheBudget: seed % 3 == 0 ? nil : 1 << 14)
        let entries = SegmentModel.entries(count: 600, using: &generator)
        let segment = try model.write(entries, partitionKeyCount: 1 << (seed % 10))

        for _ in 0..<300 {
            let near = entries.randomElement(using: &generator) ?? entries[0]
            let key = mutated(near.key, using: &generator)
            let sequence = near.sequence &+ UInt64.random(in: 0...2, using: &generator) &- 1
            let expected = entries.first { $0.key == key && $0.sequence <= sequence }
            let found = try find(key, at: sequence, in: segment)

            #expect(found == expected, "seed \(seed)")
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func aCursorMovesLikeAnIndexIntoTheSortedEntries(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let model = try SegmentModel()
        let entries = SegmentModel.entries(count: 400, using: &generator)
        let segments = try split(entries, model, using: &generator)
        var cursor = SegmentCursor(segments)
        /// `nil` for no entry.
        var place: Int?

        for step in 0..<2000 {
            switch Int.random(in: 0..<20, using: &generator) {
            case 0:
                try cursor.seekToFirst()
                place = entries.indices.first
            case 1:
                try cursor.seekToLast()
                place = entries.indices.last
            case 2:
                let near = entries.randomElement(using: &generator) ?? entries[0]
                let key = mutated(near.key, using: &generator)
                let sought = ModelEntry(key: key, sequence: near.sequence)
                try key.withUnsafeBytes { try cursor.seek(to: $0, at: near.sequence) }
                place = entries.firstIndex { $0 >= sought }
            case 3:
                let near = entries.randomElement(using: &generator) ?? entries[0]
                let key = mutated(near.key, using: &generator)
                try key.withUnsafeBytes { try cursor.seek(before: $0) }
                place = entries.lastIndex { $0.key.lexicographicallyPrecedes(key) }
            case 4..<12:
                let before = cursor.found?.key
                try cursor.next()
                place = place.flatMap { $0 + 1 < entries.count ? $0 + 1 : nil }
                if place != nil {
                    #expect(cursor.repeatsKey == (cursor.found?.key == before), "seed \(seed)")
                }
            default:
                try cursor.previous()
                place = place.flatMap { $0 > 0 ? $0 - 1 : nil }
            }
            #expect(cursor.found == place.map { entries[$0] }, "seed \(seed), step \(step)")
        }
    }

    @Test func aSegmentTellsWhatItHolds() throws {
        let model = try SegmentModel()
        let entries = [
            ModelEntry(key: [1], sequence: 9, value: [1, 2]),
            ModelEntry(key: [1], sequence: 4, flags: VersionFlags.tombstone),
            ModelEntry(key: [2, 3], sequence: 6, value: [7]),
        ]
        let segment = try model.write(entries)
        let info = segment.info

        #expect(info.smallest == [1] && info.largest == [2, 3])
        #expect(info.minSequence == 4 && info.maxSequence == 9)
        #expect(info.entryCount == 3 && info.tombstoneCount == 1 && info.rawBytes == 7)
        #expect(try segment.file.size() == info.size)
        #expect(try segment.verify() == info)
    }

    @Test func aFilterTakesFewAbsentKeysForPresent() throws {
        var builder = FilterBuilder()
        let count = 100_000
        func hash(_ number: Int) -> UInt64 {
            withUnsafeBytes(of: number) { Checksum.xxh3($0) }
        }
        for number in 0..<count { builder.add(hash(number)) }
        var payload = ByteBuffer()
        builder.finish(&payload)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 16)
        memory.copyMemory(from: payload.bytes)
        let filter = try #require(SegmentFilter(owningLines: memory))

        #expect((0..<count).allSatisfy { filter.mayContain(hash($0)) })
        let wrong = (count..<11 * count).filter { filter.mayContain(hash($0)) }.count
        #expect(wrong < 10 * count / 100, "\(wrong) of \(10 * count)")
        #expect(payload.count * 8 < count * 11)
    }

    @Test func aLookupReadsLittleOfALargeSegment() throws {
        let model = try SegmentModel()
        let count = 100_000
        let entries = (0..<count).map { number in
            ModelEntry(key: Array("key\(1_000_000 + number)".utf8), sequence: 7, value: [1, 2, 3])
        }
        let segment = try model.write(entries)
        _ = try find(entries[0].key, at: 7, in: segment)
        let before = model.fileSystem.readSize

        let found = try find(entries[count / 2].key, at: 7, in: segment)

        #expect(found == entries[count / 2])
        // A filter, an index and a data block, of those that the lookup needs.
        let read = model.fileSystem.readSize - before
        #expect(read > 16_000 && read < 32_000, "\(read) of \(segment.info.size)")
    }

    @Test func aDamagedIndexLeavesTheOtherPartitions() throws {
        let model = try SegmentModel(cacheBudget: nil)
        let entries = (0..<100).map { number in
            ModelEntry(key: [UInt8(number)], sequence: 7, value: [UInt8](repeating: 3, count: 900))
        }
        let segment = try model.write(entries, partitionKeyCount: 20)
        let directory = try #require(try segment.directory(.any))
        #expect(directory.count == 5)
        let image = model.fileSystem.crashed(.all)
        try image.change(FileName.segment(1).description, at: directory[2].index.offset + 17) {
            ~$0
        }
        let damaged = try Segment(
            segment.info,
            file: StoreDirectory.open(path: "db", in: image).open(.segment(1), for: .read),
            historyID: SegmentModel.historyID,
            cache: nil
        )

        var lost: [UInt8] = []
        for entry in entries {
            do {
                #expect(try find(entry.key, at: 7, in: damaged) == entry)
            } catch let error as EngineError {
                #expect(error.code == .corruption && error.offset == directory[2].index.offset)
                lost += entry.key
            }
        }
        #expect(lost == Array(40..<60))
    }

    // MARK: - Damage

    @Test func everyFlippedByteIsNoticedOrDoesNotMatter() throws {
        var generator = SeededGenerator(seed: 3)
        let model = try SegmentModel(cacheBudget: nil)
        let entries = Array(SegmentModel.entries(count: 60, using: &generator).prefix(40))
        let segment = try model.write(entries, partitionKeyCount: 9)
        let path = "db/" + FileName.segment(1).description
        var noticed = 0

        for offset in 0..<segment.info.size {
            let image = model.fileSystem.crashed(.all)
            try image.change(FileName.segment(1).description, at: offset) {
                $0 ^ UInt8(1 << (offset % 8))
            }
            let directory = try StoreDirectory.open(path: "db", in: image)
            do {
                let damaged = try Segment(
                    segment.info,
                    file: directory.open(.segment(1), for: .read),
                    historyID: SegmentModel.historyID,
                    cache: nil
                )
                #expect(try all(damaged) == entries, "\(path), byte \(offset)")
                for entry in entries {
                    #expect(
                        try find(entry.key, at: entry.sequence, in: damaged) == entry,
                        "\(path), byte \(offset)"
                    )
                }
                try damaged.verify()
            } catch let error as EngineError {
                #expect([.corruption, .unsupportedFormat].contains(error.code))
                noticed += 1
            }
        }

        #expect(noticed == Int(segment.info.size))
    }

    @Test(arguments: UInt64(0)..<200)
    func hostileBlocksNeverTrap(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let entries = SegmentModel.entries(count: 60, using: &generator)
        var builder = DataBlockBuilder()
        for entry in entries { entry.withEntry { builder.add($0) } }
        var payload: [UInt8] = []
        builder.finish { payload = Array($0) }

        for _ in 0..<50 {
            var bytes = payload
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                bytes.removeLast(Int.random(in: 0...bytes.count, using: &generator))
            }
            let memory = UnsafeMutableRawBufferPointer.allocate(
                byteCount: bytes.count,
                alignment: 16
            )
            memory.copyBytes(from: bytes)
            guard let block = DataBlock(owningEntries: memory) else { continue }
            walk(block, entries, using: &generator)
        }
    }

    private func walk(
        _ block: DataBlock,
        _ entries: [ModelEntry],
        using generator: inout SeededGenerator
    ) {
        var cursor = DataBlockCursor()
        cursor.open(block)
        cursor.seekToFirst()
        var steps = 0
        while cursor.isOnEntry {
            cursor.next()
            steps += 1
        }
        cursor.seekToLast()
        while cursor.isOnEntry, steps < 10_000 {
            cursor.previous()
            steps += 1
        }
        #expect(steps < 10_000)
        for entry in entries.prefix(5) {
            entry.key.withUnsafeBytes {
                _ = block.find($0, at: entry.sequence)
                cursor.seek(to: $0, at: entry.sequence)
                cursor.seek(before: $0)
            }
        }
    }

    @Test func anotherFileInItsPlaceIsNoticed() throws {
        let model = try SegmentModel()
        let first = try model.write([ModelEntry(key: [1], sequence: 1, value: [1])], number: 1)
        let second = try model.write([ModelEntry(key: [1], sequence: 1, value: [2])], number: 2)
        #expect(first.info.size == second.info.size)

        #expect(
            code {
                _ = try Segment(
                    first.info,
                    file: second.file,
                    historyID: SegmentModel.historyID,
                    cache: nil
                )
            } == .corruption
        )
        let stranger = UniqueID(high: 9, low: 9)
        #expect(
            code {
                _ = try Segment(first.info, file: first.file, historyID: stranger, cache: nil)
            } == .corruption
        )
    }

    // MARK: - Helpers

    private func mutated(_ key: [UInt8], using generator: inout SeededGenerator) -> [UInt8] {
        var key = key
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: key.append(UInt8.random(in: 0...255, using: &generator))
        case 1: if !key.isEmpty { key.removeLast() }
        case 2: if !key.isEmpty { key[key.count - 1] ^= 85 }
        default: break
        }
        return key
    }

    private func find(
        _ key: [UInt8],
        at sequence: UInt64,
        in segment: Segment
    ) throws -> ModelEntry? {
        let lookup = try key.withUnsafeBytes { key in
            try segment.find(key, hash: Checksum.xxh3(key), at: sequence, .any)
        }
        switch lookup {
        case .found(let found):
            return ModelEntry(
                key: key,
                sequence: found.sequence,
                flags: found.flags,
                value: Array(found.value)
            )
        case .absent: return nil
        case .notCached: throw SimulationFailure("the file may be read")
        }
    }

    private func all(_ segment: Segment) throws -> [ModelEntry] {
        var cursor = SegmentCursor([segment])
        var found: [ModelEntry] = []
        try cursor.seekToFirst()
        while let entry = cursor.found {
            found.append(entry)
            try cursor.next()
        }
        return found
    }

    /// The entries as up to four segments, no key in two of them.
    private func split(
        _ entries: [ModelEntry],
        _ model: SegmentModel,
        using generator: inout SeededGenerator
    ) throws -> [Segment] {
        var segments: [Segment] = []
        var rest = entries[...]
        while let first = rest.first {
            var end = segments.count == 3 ? rest.endIndex : rest.startIndex + rest.count / 2 + 1
            while end < rest.endIndex, rest[end].key == rest[end - 1].key { end += 1 }
            _ = first
            segments.append(
                try model.write(
                    Array(rest[..<end]),
                    number: UInt64(segments.count + 1),
                    partitionKeyCount: Int.random(in: 1...60, using: &generator)
                )
            )
            rest = rest[end...]
        }
        return segments
    }
}
