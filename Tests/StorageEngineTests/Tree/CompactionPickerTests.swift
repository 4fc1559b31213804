import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What compactions are chosen, and that those chosen together keep out of each other's way.
@Suite struct CompactionPickerTests {
    private var limits: CompactionLimits {
        var limits = CompactionLimits()
        limits.level0Count = 3
        limits.levelBaseSize = 1000
        limits.levelMultiplier = 4
        return limits
    }

    @Test(arguments: UInt64(0)..<200)
    func choicesShareNoInputAndNoOutputRange(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let picker = CompactionPicker(limits: limits)
        let levels = randomLevels(using: &generator)
        var running: [CompactionChoice] = []
        for _ in 0..<5 {
            let choice =
                Bool.random(using: &generator)
                ? picker.choice(levels, beside: running)
                : picker.choice(
                    cleaning: .all,
                    below: .random(in: 1...100, using: &generator),
                    levels,
                    beside: running
                )
            guard let choice else { continue }
            check(choice, levels, running, "seed \(seed)")
            running.append(choice)
        }
    }

    private func check(
        _ choice: CompactionChoice,
        _ levels: [[SegmentInfo]],
        _ running: [CompactionChoice],
        _ what: String
    ) {
        #expect(!choice.inputs.isEmpty, "\(what)")
        #expect(choice.inputs.allSatisfy { levels[choice.level].contains($0) }, "\(what)")
        if choice.level == 0 { #expect(choice.inputs == levels[0], "\(what)") }
        // All of the level that is written to which the output could overlap.
        if choice.outputLevel > choice.level, choice.outputLevel < levels.count {
            let touched = levels[choice.outputLevel].filter { segment in
                choice.inputs.contains { KeySpan([$0])?.touches(span(segment)) == true }
            }
            #expect(touched.allSatisfy { choice.overlapped.contains($0) }, "\(what)")
        }
        for other in running {
            #expect(Set(other.all).isDisjoint(with: choice.all), "\(what)")
            let isApart =
                other.outputLevel != choice.outputLevel || !other.span.touches(choice.span)
            #expect(isApart, "\(what)")
        }
    }

    private func span(_ segment: SegmentInfo) -> KeySpan {
        guard let span = KeySpan([segment]) else { preconditionFailure("one segment has a span") }
        return span
    }

    @Test func theSegmentThatRewritesLeastGoesFirst() throws {
        let first = segment(1, 0, 9, size: 600)
        let second = segment(2, 20, 29, size: 600)
        let levels = [
            [], [first, second], [segment(3, 0, 12, size: 500), segment(4, 29, 40, size: 50)],
        ]

        let choice = try #require(CompactionPicker(limits: limits).choice(levels, beside: []))

        #expect(choice.inputs == [second] && choice.overlapped.map(\.number) == [4])
        #expect(choice.outputLevel == 2 && !choice.isMove)
    }

    @Test func aSegmentWithNothingBelowMoves() throws {
        let levels = [[], [segment(1, 0, 9, size: 2000)], [segment(2, 20, 30, size: 10)]]
        let choice = try #require(CompactionPicker(limits: limits).choice(levels, beside: []))

        #expect(choice.isMove && choice.outputLevel == 2)
    }

    @Test func nothingIsChosenWithinTheLimits() {
        let levels = [
            [segment(1, 0, 9, size: 5000), segment(2, 0, 9, size: 5000)],
            [segment(3, 0, 9, size: 999)],
        ]
        #expect(CompactionPicker(limits: limits).choice(levels, beside: []) == nil)
    }

    /// Only what may be dropped is rewritten in place, and nothing that was just written.
    @Test func cleaningTakesOldSegmentsWithDeadVersionsOfTheDeepestLevel() throws {
        var dead = segment(2, 10, 19, size: 10)
        dead.keyCount = dead.entryCount - 1
        let picker = CompactionPicker(limits: limits)
        let levels = [[], [segment(5, 0, 50, size: 10)], [segment(1, 0, 9, size: 10), dead]]

        let choice = try #require(
            picker.choice(cleaning: .all, below: 3, levels, beside: [])
        )
        #expect(choice.inputs == [dead] && choice.level == 2 && choice.outputLevel == 2)
        #expect(choice.overlapped.isEmpty && !choice.isMove)
        #expect(picker.choice(cleaning: .all, below: 2, levels, beside: []) == nil)
        #expect(picker.choice(cleaning: .all, below: 3, levels, beside: [choice]) == nil)
    }

    // MARK: - Where outputs end

    @Test func anOutputEndsAtABoundaryFromHalfItsSizeOn() {
        let boundaries: [[UInt8]] = [[10], [20], [30]]
        func ends(_ last: UInt8, _ key: UInt8, _ size: UInt64) -> Bool {
            var cut = SegmentCut(size: 100, boundaries: boundaries)
            return [key].withUnsafeBytes { key in
                [last].withUnsafeBytes { cut.isDue(before: key, behind: $0, size: size) }
            }
        }
        #expect(!ends(9, 10, 49) && ends(9, 10, 50) && ends(5, 25, 50))
        #expect(!ends(10, 11, 120) && ends(10, 11, 150))
        // The versions of a key stay together.
        #expect(!ends(10, 10, 1000))
        // Behind the last boundary only the size counts.
        #expect(!ends(30, 31, 99) && ends(30, 31, 100))
    }

    @Test(arguments: UInt64(0)..<50)
    func boundariesAreMetInOrder(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let boundaries = (0..<20).filter { _ in Bool.random(using: &generator) }.map {
            [UInt8($0 * 10)]
        }
        let keys = (0..<255).filter { _ in Bool.random(using: &generator) }.map { [UInt8($0)] }
        let plain = SegmentCut(size: 100, boundaries: boundaries)
        var cut = plain
        var size: UInt64 = 0
        for (last, key) in zip(keys, keys.dropFirst()) {
            size += .random(in: 1...30, using: &generator)
            let isDue = key.withUnsafeBytes { key in
                last.withUnsafeBytes { cut.isDue(before: key, behind: $0, size: size) }
            }
            let crosses = boundaries.contains { last[0] < $0[0] && $0[0] <= key[0] }
            let isOver = boundaries.allSatisfy { $0[0] <= last[0] }
            let expected = size >= 150 || size >= 50 && crosses || size >= 100 && isOver
            #expect(isDue == expected, "seed \(seed), \(last) to \(key), size \(size)")
            if isDue {
                size = 0
                cut = plain
            }
        }
    }

    // MARK: - Helpers

    private func segment(_ number: UInt64, _ least: Int, _ greatest: Int, size: UInt64)
        -> SegmentInfo
    {
        var info = SegmentInfo(number: number)
        info.smallest = [UInt8(least)]
        info.largest = [UInt8(greatest)]
        info.size = size
        info.entryCount = 10
        info.keyCount = 10
        return info
    }

    private func randomLevels(using generator: inout SeededGenerator) -> [[SegmentInfo]] {
        var number: UInt64 = 0
        func make(_ least: Int, _ greatest: Int) -> SegmentInfo {
            number += 1
            var info = segment(
                number,
                least,
                greatest,
                size: .random(in: 1...900, using: &generator)
            )
            info.keyCount -= .random(in: 0...1, using: &generator)
            return info
        }
        var levels: [[SegmentInfo]] = []
        levels.append(
            (0..<Int.random(in: 0...5, using: &generator)).map { _ in
                let least = Int.random(in: 0..<200, using: &generator)
                return make(least, .random(in: least...200, using: &generator))
            }
        )
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            var level: [SegmentInfo] = []
            var least = Int.random(in: 0..<30, using: &generator)
            while least < 200 {
                let greatest = Int.random(in: least...min(200, least + 40), using: &generator)
                level.append(make(least, greatest))
                least = greatest + .random(in: 1...30, using: &generator)
            }
            levels.append(level)
        }
        return levels
    }
}
