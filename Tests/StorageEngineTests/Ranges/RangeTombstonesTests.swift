import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Range tombstones against a list of them.
@Suite struct RangeTombstonesTests {
    /// Every boundary, and keys on either side of it.
    private let probes = SmallKeys.all(upTo: 4)
    private let sequences: [UInt64] = [0, 1, 4, 7, 11, 12, 13, .max]

    @Test(arguments: UInt64(0)..<60)
    func aSetAnswersAsAListOfTombstones(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(.random(in: 0...14, using: &generator), using: &generator)
        let made = RangeTombstones(model.tombstones)
        var grown = RangeTombstones.none
        for tombstone in model.tombstones { grown = grown.adding(tombstone) }

        check(made, model, "seed \(seed), made")
        check(grown, model, "seed \(seed), grown")
        #expect(made == grown, "seed \(seed)")
        #expect(made.isEmpty == made.fragments.isEmpty, "seed \(seed)")
        #expect(made.count == made.fragments.count, "seed \(seed)")
    }

    @Test(arguments: UInt64(0)..<40)
    func aSetIsNotChangedByWhatIsMadeOfIt(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(30, using: &generator)
        var sets = [RangeTombstones.none]
        for tombstone in model.tombstones {
            sets.append((sets.last ?? .none).adding(tombstone))
        }

        for (count, set) in sets.enumerated() {
            let prefix = RangeTombstones(Array(model.tombstones[..<count]))
            #expect(set == prefix, "seed \(seed), \(count)")
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func mergedSetsSayWhatAllOfThemSay(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let models = (0..<Int.random(in: 0...4, using: &generator)).map { _ in
            RangeModel.random(.random(in: 0...6, using: &generator), using: &generator)
        }
        let merged = RangeTombstones(merging: models.map { RangeTombstones($0.tombstones) })

        check(merged, RangeModel(tombstones: models.flatMap(\.tombstones)), "seed \(seed)")
    }

    @Test(arguments: UInt64(0)..<60)
    func aClippedSetSaysTheSameWithinItsRangeAndNothingBeside(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(8, using: &generator)
        let range = SmallKeys.randomRange(using: &generator)
        let clipped = RangeTombstones(model.tombstones).clipped(to: range)

        let within = model.tombstones.map {
            RangeTombstone($0.range.intersection(range), sequence: $0.sequence)
        }
        check(clipped, RangeModel(tombstones: within), "seed \(seed)")
    }

    @Test(arguments: UInt64(0)..<80)
    func whatIsRetainedAnswersEveryReader(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(.random(in: 0...20, using: &generator), using: &generator)
        let visible = UInt64.random(in: 0...13, using: &generator)
        let registered = (0...visible).filter { _ in
            Int.random(in: 0..<4, using: &generator) == 0
        }
        let set = RangeTombstones(model.tombstones)
        let kept = set.retained(visible: visible, registered: registered)

        #expect(kept.isFragmented, "seed \(seed)")
        let wrong = model.difference(to: kept, probes, at: registered + Array(visible...14))
        #expect(wrong == nil, "seed \(seed)")
        let readers = registered + [visible]
        for fragment in kept.fragments {
            let needed = fragment.sequences.allSatisfy { sequence in
                sequence > visible
                    || readers.contains { reader in
                        fragment.sequences.first { $0 <= reader } == sequence
                    }
            }
            #expect(needed, "seed \(seed)")
        }
    }

    /// What an unregistered reader misses is then shown by something newer.
    @Test(arguments: UInt64(0)..<20)
    func aSetThatDropsWhileItGrowsAnswersEveryReader(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var model = RangeModel()
        var set = RangeTombstones.none
        var visible: UInt64 = 0
        var registered: [UInt64] = []
        for sequence in UInt64(1)...60 {
            let range = SmallKeys.randomRange(using: &generator)
            let tombstone = RangeTombstone(range, sequence: sequence)
            model.tombstones.append(tombstone)
            set = set.adding(tombstone, visible: visible, registered: registered)
            if Bool.random(using: &generator) { visible = sequence }
            if Int.random(in: 0..<6, using: &generator) == 0, registered.last != visible {
                registered.append(visible)
            }
            if registered.count > 3 {
                registered.remove(at: .random(in: 0..<4, using: &generator))
            }
            guard sequence % 6 == 0 else { continue }
            let readers = registered + Array(visible...sequence)
            let wrong = model.difference(to: set, probes, at: readers)
            #expect(wrong == nil, "seed \(seed), sequence \(sequence)")
            for reader in 0..<visible {
                let silent = probes.filter { !set.sawNewer($0, than: reader) }
                let wrong = model.difference(to: set, silent, at: [reader])
                #expect(wrong == nil, "seed \(seed), sequence \(sequence)")
            }
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func runsAreCoveredWhollyAndEndWhereTheyMust(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(.random(in: 0...10, using: &generator), using: &generator)
        var set = RangeTombstones.none
        for tombstone in model.tombstones { set = set.adding(tombstone) }

        for _ in 0..<10 {
            let window = RangeWindow(
                newerThan: .random(in: 0...13, using: &generator),
                at: .random(in: 0...13, using: &generator)
            )
            let covered = probes.map {
                model.newest(covering: $0, at: window.sequence) > window.oldest
            }
            for (index, key) in probes.enumerated() {
                let found = key.withUnsafeBytes {
                    (set.coverageEnd(from: $0, window), set.coverageStart(of: $0, window))
                }
                let rest = covered[index...].firstIndex(of: false)
                let end = rest.map { RangeEnd.key(probes[$0]) } ?? .unbounded
                let before = covered[...index].lastIndex(of: false).map { $0 + 1 } ?? 0
                let isRight =
                    covered[index]
                    ? found == (end, probes[before]) : found.0 == nil && found.1 == nil
                if !isRight { Issue.record("seed \(seed), \(key)") }
            }
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func fragmentsMakeTheSetAgain(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let model = RangeModel.random(10, using: &generator)
        let set = RangeTombstones(model.tombstones)

        let again = try RangeTombstones(fragments: set.fragments)

        #expect(again == set, "seed \(seed)")
        check(again, model, "seed \(seed)")
    }

    @Test(arguments: [
        [RangeFragment(lower: [1], upper: [1], sequences: [1])],
        [RangeFragment(lower: [2], upper: [1], sequences: [1])],
        [RangeFragment(lower: [1], upper: [2], sequences: [])],
        [RangeFragment(lower: [1], upper: [2], sequences: [0])],
        [RangeFragment(lower: [1], upper: [2], sequences: [3, 3])],
        [RangeFragment(lower: [1], upper: [2], sequences: [3, 4])],
        [
            RangeFragment(lower: [1], upper: nil, sequences: [3]),
            RangeFragment(lower: [2], upper: nil, sequences: [3]),
        ],
        [
            RangeFragment(lower: [1], upper: [3], sequences: [3]),
            RangeFragment(lower: [2], upper: [4], sequences: [3]),
        ],
    ])
    func fragmentsThatAreNoneAreRefused(fragments: [RangeFragment]) {
        #expect(throws: DecodingFailure.self) { try RangeTombstones(fragments: fragments) }
    }

    /// All sets of a row together, which an index keeps, stay near to linear.
    @Test(arguments: [false, true])
    func keepingEverySetOfARowCostsLittle(isSameRange: Bool) {
        let count = 4_000
        var set = RangeTombstones.none
        var bytes = 0
        for number in 1...count {
            let sequence = UInt64(number)
            let name = isSameRange ? 0 : number &* 2_654_435_761 % 1_000_003
            let lower = Array("\(name)".utf8)
            let range = KeyRange(from: lower, to: lower + [0])
            set = set.adding(
                RangeTombstone(range, sequence: sequence),
                visible: sequence - 1,
                registered: [3, 50]
            )
            bytes += set.addedByteCount
        }

        #expect(set.count == (isSameRange ? 1 : count))
        // O(n²) would be 300,000 bytes each.
        #expect(bytes < count * (isSameRange ? 400 : 3_000))
        #expect(set.byteCount < count * 150)
    }

    private func check(_ set: RangeTombstones, _ model: RangeModel, _ what: String) {
        #expect(set.isFragmented, "\(what)")
        let wrong = model.difference(to: set, probes, at: sequences)
        #expect(wrong == nil, "\(what)")
    }
}
