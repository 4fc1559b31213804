import StorageEngineTestSupport
import Testing

@testable import Replication
@testable import StorageEngine

/// What is gathered is committed, by one at a time.
@Suite(.timeLimit(.minutes(1))) struct GatheringTests {
    @Test func onlyOneAtATimeSeesToWhatHasGathered() {
        let gathering = Gathering<Int>(fewMax: 1, countMax: 3)
        #expect(gathering.add(1))
        for number in 2...4 { #expect(!gathering.add(number)) }
        #expect(gathering.next() == [1, 2, 3])
        #expect(!gathering.add(5), "whoever commits comes for more")
        #expect(gathering.next() == [4, 5])
        #expect(gathering.next() == nil)
        #expect(gathering.add(6))
        #expect(gathering.next() == [6])
    }

    @Test func whoWritesKnowsWhetherManyDo() {
        let gathering = Gathering<Int>(fewMax: 2, countMax: 3)
        #expect(!gathering.enter() && !gathering.enter())
        #expect(gathering.enter())
        gathering.leave()
        #expect(gathering.enter())
        for _ in 0..<3 { gathering.leave() }
        #expect(!gathering.enter() && !gathering.enter())
    }

    /// Whoever is told to see to what has gathered does so until there is nothing.
    @Test func everythingThatIsAddedIsTakenOnceAndInOrder() {
        let gathering = Gathering<(adder: Int, number: Int)>(fewMax: 1, countMax: 8)
        let taken = TakenNumbers(adders: 4)
        let threads = (0..<4).map { adder in
            WorkerThread(name: "adder") {
                for number in 0..<5_000 where gathering.add((adder, number)) {
                    taken.addAll(of: gathering)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(taken.next == [5_000, 5_000, 5_000, 5_000])
    }
}

/// What was taken of each adder's numbers, which must come in order.
private final class TakenNumbers: @unchecked Sendable {
    private let lock = Lock()
    // The lock.
    private var taken: [Int]

    init(adders: Int) { taken = Array(repeating: 0, count: adders) }

    /// Each adder's next number.
    var next: [Int] { lock.with { taken } }

    func addAll(of gathering: Gathering<(adder: Int, number: Int)>) {
        while let group = gathering.next() {
            #expect(!group.isEmpty && group.count <= gathering.countMax)
            for (adder, number) in group { add(number, of: adder) }
        }
    }

    private func add(_ number: Int, of adder: Int) {
        lock.with {
            #expect(taken[adder] == number)
            taken[adder] = number + 1
        }
    }
}
