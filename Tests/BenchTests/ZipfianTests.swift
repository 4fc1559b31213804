import Foundation
import Testing

@testable import enginebench

/// How the keys of the mixed benchmarks are distributed.
struct ZipfianTests {
    private static let drawCount = 500_000

    /// How often each number was drawn.
    private func draws(_ next: (inout SplitMix64) -> UInt64) -> [UInt64: Int] {
        var random = SplitMix64(seed: 301, worker: 0)
        var counts: [UInt64: Int] = [:]
        for _ in 0..<Self.drawCount { counts[next(&random), default: 0] += 1 }
        return counts
    }

    private func share(_ counts: [UInt64: Int], _ number: UInt64) -> Double {
        Double(counts[number] ?? 0) / Double(Self.drawCount)
    }

    private func isNear(_ value: Double, _ expected: Double, within part: Double) -> Bool {
        (value - expected).magnitude <= expected * part
    }

    @Test(arguments: [10, 1000, 100_000] as [UInt64])
    func theMostFrequentRanksHaveTheirExactShares(_ count: UInt64) {
        let zipfian = Zipfian(count: count)

        let counts = draws { zipfian.next(&$0) }

        #expect(isNear(share(counts, 0), 1 / zipfian.zeta, within: 0.03))
        #expect(isNear(share(counts, 1), 0.503_478 / zipfian.zeta, within: 0.03))
        #expect(counts.keys.allSatisfy { $0 < count })
    }

    @Test func theRanksBehindThemAreNearTheirs() {
        let zipfian = Zipfian(count: 1000)
        let exact = Zipfian(count: 100).zeta / zipfian.zeta

        let counts = draws { zipfian.next(&$0) }

        let drawn = counts.filter { $0.key < 100 }.values.reduce(0, +)
        #expect(isNear(Double(drawn) / Double(Self.drawCount), exact, within: 0.05))
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func fewRanksAreAllDrawn(_ count: UInt64) {
        let zipfian = Zipfian(count: count)

        let counts = draws { zipfian.next(&$0) }

        #expect(counts.keys.sorted() == Array(0..<count))
    }

    @Test func oneThatGrewIsOneOfItsCount() {
        var grown = Zipfian(count: 3)
        for count in [4, 100, 99, 1000] as [UInt64] { grown.grow(to: count) }
        let fresh = Zipfian(count: 1000)

        #expect(grown.count == 1000)
        #expect(grown.zeta == fresh.zeta)
        #expect(draws { grown.next(&$0) } == draws { fresh.next(&$0) })
    }

    @Test func theScrambledRankZeroHasTheShareOfYCSB() {
        var chooser = KeyChooser(.scrambled, count: 1_000_000)

        let counts = draws { chooser.next(below: 1_000_000, &$0) }

        let hottest = counts.max { $0.value < $1.value }?.key
        #expect(hottest == KeyChooser.hash(0) % 1_000_000)
        #expect(isNear(share(counts, hottest ?? 0), 1 / 26.469, within: 0.03))
    }

    @Test func scramblingSpreadsTheKeysOverAll() {
        var chooser = KeyChooser(.scrambled, count: 100)

        let counts = draws { chooser.next(below: 100, &$0) }

        #expect(counts.keys.sorted() == Array(0..<100))
        let upper = counts.filter { $0.key >= 50 }.values.reduce(0, +)
        #expect((0.3...0.7).contains(Double(upper) / Double(Self.drawCount)))
    }

    /// The values are those of a plain FNV-1a elsewhere.
    @Test func theHashIsThatOfYCSB() {
        #expect(KeyChooser.hash(0) == 6_284_781_860_667_377_211)
        #expect(KeyChooser.hash(1) == 8_517_097_267_634_966_620)
        #expect(KeyChooser.hash(123_456_789) == 2_350_796_791_908_741_607)
    }

    /// Leonhard Euler's and Colin Maclaurin's sum, as adding up 10,000,000,000 weights takes long.
    @Test func theSumOfYCSBsRanksIsRight() {
        let smooth = { (count: Double) in pow(count, 0.01) / 0.01 + pow(count, -0.99) / 2 }

        let sum = Zipfian(count: 1_000_000).zeta + smooth(1e10) - smooth(1e6)

        #expect(isNear(sum, 26.469_028_201_783_02, within: 1e-9))
    }

    @Test func theLatestKeyIsTheMostFrequentOneAlsoWhenThereAreMore() {
        var chooser = KeyChooser(.latest, count: 10)

        let counts = draws { chooser.next(below: 1000, &$0) }

        #expect(isNear(share(counts, 999), 1 / Zipfian(count: 1000).zeta, within: 0.03))
        #expect(counts.keys.allSatisfy { $0 < 1000 })
    }

    @Test func aSeedAlwaysGivesTheSameNumbers() {
        var random = SplitMix64(seed: 7, worker: 3)
        let zipfian = Zipfian(count: 1000)

        let ranks = (0..<8).map { _ in zipfian.next(&random) }

        #expect(ranks == [248, 0, 0, 0, 311, 91, 14, 210])
    }
}

/// The keys that mixed benchmarks add.
struct InsertionTests {
    @Test func keysCountOnceAllBeforeThemAreWritten() throws {
        let insertions = Insertions(from: 10, keySize: 16)
        let claimed = try (0..<3).map { _ in try insertions.claim() }

        insertions.note(11)
        let early = insertions.keyCount
        insertions.note(10)
        let later = insertions.keyCount

        #expect(claimed == [10, 11, 12])
        #expect(early == 10)
        #expect(later == 12)
    }

    @Test func aKeyThatDoesNotFitIsRefused() throws {
        let insertions = Insertions(from: 99, keySize: 2)

        #expect(try insertions.claim() == 99)
        #expect(throws: (any Error).self) { try insertions.claim() }
    }

    @Test func aKeyOfMoreDigitsIsMadeAndReadBack() {
        var keys = KeyMaker(size: 6, count: 10, random: SplitMix64(seed: 1, worker: 0))

        let made = ([7, 10, 12_345, 3] as [UInt64]).map { number in
            keys.make(number)
            return String(decoding: keys.bytes, as: UTF8.self)
        }

        #expect(made == ["000007", "000010", "012345", "000003"])
        #expect(KeyMaker.number(of: Array("012345".utf8).span) == 12_345)
        #expect(KeyMaker.number(of: Array("12a".utf8).span) == nil)
        #expect(KeyMaker.number(of: Array("99999999999999999999".utf8).span) == nil)
    }
}
