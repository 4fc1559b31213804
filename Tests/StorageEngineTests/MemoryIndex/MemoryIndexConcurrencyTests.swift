import Glibc
import StorageEngineTestSupport
import Synchronization
import Testing

@testable import StorageEngine

/// Readers and cursors beside one writer. The thread sanitizer runs these as well.
@Suite struct MemoryIndexConcurrencyTests {
    /// A history that follows from the seed: each sequence writes one key, its value says which.
    final class Shared: @unchecked Sendable {
        let seed: UInt64
        let keys: [[UInt8]]
        /// The place of the key that each sequence writes; sequence 0 writes none.
        let history: [Int]
        let index = MemoryIndex()
        private let lock = Lock()
        private var visible: UInt64 = 0
        private var registered: [UInt64] = []
        let readersReady = Atomic<Int>(0)
        let isDone = Atomic<Bool>(false)
        let faults = Mutex<[String]>([])

        init(seed: UInt64, keyCount: Int, writeCount: Int) {
            self.seed = seed
            var shapes = KeyShapes(seed: seed)
            var distinct: Set<[UInt8]> = []
            while distinct.count < keyCount { distinct.insert(shapes.next()) }
            let keys = distinct.sorted { $0.lexicographicallyPrecedes($1) }
            var generator = SeededGenerator(seed: ~seed)
            self.keys = keys
            history = (0...writeCount).map { _ in
                // A few keys get many versions.
                let isHot = Bool.random(using: &generator)
                return Int.random(in: 0..<(isHot ? 4 : keys.count), using: &generator)
            }
        }

        var visibleSequence: UInt64 { lock.with { visible } }
        func publish(_ sequence: UInt64) { lock.with { visible = sequence } }
        var retention: MemoryIndex.Retention {
            lock.with {
                MemoryIndex.Retention(visible: visible, registered: Set(registered).sorted())
            }
        }
        func register() -> UInt64 {
            lock.with {
                registered.append(visible)
                return visible
            }
        }
        func release(_ sequence: UInt64) {
            lock.with {
                if let place = registered.firstIndex(of: sequence) { registered.remove(at: place) }
            }
        }

        func require(_ isTrue: Bool, _ claim: String) {
            guard !isTrue else { return }
            faults.withLock { if $0.count < 20 { $0.append("seed \(seed): \(claim)") } }
        }

        /// The sequence that a reader at one must see for each key; 0 for none.
        func expected(at sequence: UInt64) -> [UInt64] {
            var newest = [UInt64](repeating: 0, count: keys.count)
            for earlier in 1..<(sequence + 1) { newest[history[Int(earlier)]] = earlier }
            return newest
        }

        func write() {
            while readersReady.load(ordering: .acquiring) < 3 { sched_yield() }
            for sequence in UInt64(1)..<UInt64(history.count) {
                let value = withUnsafeBytes(of: sequence) { Array($0) }
                index.insert(
                    keys[history[Int(sequence)]],
                    ModelVersion(sequence: sequence, value: value),
                    retention
                )
                // Groups of several writes are published together.
                if sequence % 5 == 0 || Int(sequence) == history.count - 1 { publish(sequence) }
            }
            isDone.store(true, ordering: .releasing)
        }

        /// Runs rounds until the writer is done, and one more.
        func read(_ round: () -> Void) {
            readersReady.add(1, ordering: .releasing)
            var isLast = false
            repeat {
                isLast = isDone.load(ordering: .acquiring)
                round()
            } while !isLast
        }
    }

    @Test(arguments: UInt64(0)..<3)
    func readersSeeTheirSequenceBesideAWriter(seed: UInt64) {
        let shared = Shared(seed: seed, keyCount: 500, writeCount: 4_000)
        let threads = [
            WorkerThread(name: "scanner") { shared.read { scan(shared) } },
            WorkerThread(name: "seeker") {
                var generator = SeededGenerator(seed: seed)
                shared.read { seek(shared, &generator) }
            },
            WorkerThread(name: "getter") { shared.read { getLatest(shared) } },
        ]
        shared.write()
        for thread in threads { thread.join() }

        shared.index.checkInvariants()
        #expect(shared.faults.withLock { $0 } == [])
        #expect(shared.index.keysForward(at: .max).count == shared.index.keyCount)
    }

    @Test func aLookupNeverTakesAKeyThatIsOverwrittenForAbsent() {
        let index = MemoryIndex()
        let visible = Atomic<UInt64>(1)
        let misses = Atomic<Int>(0)
        index.insert([1], sequence: 1)
        let readers = (0..<2).map { _ in
            WorkerThread(name: "reader") {
                let key: [UInt8] = [1]
                while visible.load(ordering: .acquiring) < 300_000 {
                    let sequence = visible.load(ordering: .acquiring)
                    let found = key.withUnsafeBytes { index.find($0, at: sequence) }
                    if found.version == nil, !found.sawNewer { misses.add(1, ordering: .relaxed) }
                }
            }
        }
        for sequence in UInt64(2)...300_000 {
            index.insert([1], sequence: sequence)
            visible.store(sequence, ordering: .releasing)
        }
        for reader in readers { reader.join() }

        #expect(misses.load(ordering: .relaxed) == 0)
    }
}

private typealias Shared = MemoryIndexConcurrencyTests.Shared

/// Goes through all entries of a registered sequence, forth and back.
private func scan(_ shared: Shared) {
    let sequence = shared.register()
    defer { shared.release(sequence) }
    let newest = shared.expected(at: sequence)
    let places = newest.indices.filter { newest[$0] > 0 }
    var cursor = MemoryIndexCursor(shared.index, at: sequence)

    var isOnEntry = cursor.seekToFirst()
    for place in places {
        guard isOnEntry else { return shared.require(false, "forward misses \(place)") }
        check(cursor, place, newest, shared)
        isOnEntry = cursor.next()
    }
    shared.require(!isOnEntry, "forward sees more than there is at \(sequence)")

    isOnEntry = cursor.seekToLast()
    for place in places.reversed() {
        guard isOnEntry else { return shared.require(false, "backward misses \(place)") }
        check(cursor, place, newest, shared)
        isOnEntry = cursor.previous()
    }
    shared.require(!isOnEntry, "backward sees more than there is at \(sequence)")
}

/// Looks up and seeks random keys at a registered sequence.
private func seek(_ shared: Shared, _ generator: inout SeededGenerator) {
    let sequence = shared.register()
    defer { shared.release(sequence) }
    let newest = shared.expected(at: sequence)
    var cursor = MemoryIndexCursor(shared.index, at: sequence)
    for _ in 0..<100 {
        let place = Int.random(in: 0..<newest.count, using: &generator)
        let key = shared.keys[place]
        let found = shared.index.version(of: key, at: sequence)
        shared.require(found?.sequence ?? 0 == newest[place], "wrong version of \(place)")

        let isAtOrBehind = key.withUnsafeBytes { cursor.seek(to: $0) }
        if let there = newest[place...].firstIndex(where: { $0 > 0 }) {
            shared.require(isAtOrBehind, "no entry at or behind \(place)")
            if isAtOrBehind { check(cursor, there, newest, shared) }
        } else {
            shared.require(!isAtOrBehind, "an entry at or behind \(place)")
        }

        let isBefore = key.withUnsafeBytes { cursor.seek(before: $0) }
        if let there = newest[..<place].lastIndex(where: { $0 > 0 }) {
            shared.require(isBefore, "no entry before \(place)")
            if isBefore { check(cursor, there, newest, shared) }
        } else {
            shared.require(!isBefore, "an entry before \(place)")
        }
    }
}

private func check(
    _ cursor: borrowing MemoryIndexCursor,
    _ place: Int,
    _ newest: [UInt64],
    _ shared: Shared
) {
    let version = cursor.version
    shared.require(Array(cursor.key) == shared.keys[place], "not on key \(place)")
    shared.require(version.sequence == newest[place], "wrong version of \(place)")
    let value = version.value.loadUnaligned(as: UInt64.self)
    shared.require(value == version.sequence, "another version's value")
}

/// Reads hot keys without registering: what is found is as new as what was published, or the
/// lookup says that there is something newer, and more has been published since.
private func getLatest(_ shared: Shared) {
    for place in 0..<4 {
        var sequence = shared.visibleSequence
        let least = shared.history[..<Int(sequence + 1)].dropFirst().lastIndex(of: place) ?? 0
        while true {
            let found = shared.keys[place].withUnsafeBytes { shared.index.find($0, at: sequence) }
            let latest = found.sawNewer ? shared.visibleSequence : sequence
            guard latest == sequence else {
                sequence = latest
                continue
            }
            let version = found.version?.sequence ?? 0
            shared.require(version <= sequence, "newer than asked for")
            shared.require(version >= UInt64(least), "older than what was published")
            break
        }
    }
}
