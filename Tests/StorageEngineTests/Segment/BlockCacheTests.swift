import StorageEngineTestSupport
import Synchronization
import Testing

@testable import StorageEngine

@Suite struct BlockCacheTests {
    @Test(arguments: UInt64(0)..<20)
    func theBudgetHoldsAndBlocksAreThoseThatWerePutIn(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let budget = Int.random(in: 1000...200_000, using: &generator)
        let cache = BlockCache(budget: budget)
        var hits = 0

        for _ in 0..<5000 {
            let name = BlockName(
                segment: UInt64.random(in: 1...3, using: &generator),
                offset: UInt64.random(in: 0...200, using: &generator)
            )
            if let block = cache.block(name) {
                #expect(block.bytes.count == Int(name.offset * 5 + name.segment))
                hits += 1
            } else {
                cache.insert(makeBlock(size: Int(name.offset * 5 + name.segment)), name)
            }
            #expect(cache.counts.bytes <= budget, "seed \(seed)")
        }

        #expect(cache.counts.hits == UInt64(hits) && hits > 0)
        #expect(cache.counts.hits + cache.counts.misses == 5000)
    }

    @Test func whatSegmentsHoldCountsAsCached() throws {
        let model = try SegmentModel(cacheBudget: 20_000)
        let cache = try #require(model.cache)
        let entries = (0..<200).map { number in
            ModelEntry(key: [UInt8(number)], sequence: 7, value: [UInt8](repeating: 3, count: 100))
        }
        do {
            let segment = try model.write(entries, partitionKeyCount: 10)
            let directory = try #require(try segment.directory(.any))
            #expect(cache.counts.bytes == directory.charge)

            var cursor = SegmentCursor([segment])
            try cursor.seekToFirst()
            while cursor.isOnEntry { try cursor.next() }

            #expect(cache.counts.bytes > directory.charge && cache.counts.bytes <= 20_000)
        }
        let rest = cache.counts.bytes
        #expect(rest < 20_000 && cache.counts.blocks > 0)
        cache.insert(makeBlock(size: 19_000), BlockName(segment: 2, offset: 0))
        #expect(cache.block(BlockName(segment: 2, offset: 0)) != nil)
    }

    @Test func aLongScanLeavesWhatIsUsed() {
        let cache = BlockCache(budget: 100 * (1000 + Block.overhead))
        let used = (0..<50).map { BlockName(segment: 1, offset: $0) }
        for _ in 0..<3 {
            for name in used where cache.block(name) == nil {
                cache.insert(makeBlock(size: 1000), name)
            }
        }

        for offset in UInt64(0)..<10_000 {
            cache.insert(makeBlock(size: 1000), BlockName(segment: 2, offset: offset))
        }

        #expect(used.allSatisfy { cache.block($0) != nil })
    }

    @Test func whatComesBackSoonStays() {
        let cache = BlockCache(budget: 100 * (1000 + Block.overhead))
        let name = BlockName(segment: 1, offset: 7)
        func flood(_ range: Range<UInt64>) {
            for offset in range {
                cache.insert(makeBlock(size: 1000), BlockName(segment: 2, offset: offset))
            }
        }
        cache.insert(makeBlock(size: 1000), name)
        flood(0..<120)
        #expect(cache.block(name) == nil)

        cache.insert(makeBlock(size: 1000), name)
        flood(1000..<1200)

        #expect(cache.block(name) != nil)
    }

    /// Many threads look up, fill, and pass through in scans; nobody ever sees it above its budget,
    /// nor another block than he put in.
    @Test func theBudgetHoldsUnderConcurrentReaders() {
        let budget = 300_000
        let cache = BlockCache(budget: budget)
        let wrong = Atomic<Int>(0)
        let hits = Atomic<Int>(0)
        @Sendable func read(_ offset: UInt64) {
            let name = BlockName(segment: 1, offset: offset)
            let size = Int(1000 + offset)
            if let block = cache.block(name) {
                hits.add(1, ordering: .relaxed)
                if block.bytes.count != size { wrong.add(1, ordering: .relaxed) }
            } else {
                cache.insert(Block(owning: .allocate(byteCount: size, alignment: 16)), name)
            }
            if cache.counts.bytes > budget { wrong.add(1, ordering: .relaxed) }
        }
        let threads = (0..<4).map { number in
            WorkerThread(name: "reader") {
                var generator = SeededGenerator(seed: UInt64(number))
                for round in UInt64(0)..<5000 {
                    read(number == 0 ? 1000 + round : .random(in: 0...100, using: &generator))
                }
            }
        }
        for thread in threads { thread.join() }

        #expect(wrong.load(ordering: .relaxed) == 0)
        #expect(hits.load(ordering: .relaxed) > 5000)
        #expect(cache.counts.bytes <= budget)
    }

    @Test func aBlockAboveTheBudgetIsNotKept() {
        let cache = BlockCache(budget: 1000)
        cache.insert(makeBlock(size: 1000), BlockName(segment: 1, offset: 0))

        #expect(cache.counts.blocks == 0 && cache.counts.bytes == 0)
    }

    private func makeBlock(size: Int) -> Block {
        Block(owning: .allocate(byteCount: size, alignment: 16))
    }
}
