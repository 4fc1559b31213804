import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// What an insert unlinks, and what it must leave.
@Suite struct MemoryIndexRetentionTests {
    /// A writer that publishes now and then, and readers that come and go.
    struct Run {
        var generator: SeededGenerator
        let index = MemoryIndex()
        var model = IndexModel()
        var sequence: UInt64 = 0
        var visible: UInt64 = 0
        var registered: [UInt64] = []

        init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

        var retention: MemoryIndex.Retention {
            MemoryIndex.Retention(visible: visible, registered: registered)
        }

        /// Inserts under the next sequence and returns the key.
        mutating func insert() -> [UInt8] {
            sequence += UInt64.random(in: 1...3, using: &generator)
            let key = [UInt8.random(in: 0..<4, using: &generator)]
            let version = ModelVersion(
                sequence: sequence,
                value: [UInt8](repeating: 1, count: Int.random(in: 0...20, using: &generator)),
                isTombstone: Bool.random(using: &generator)
            )
            index.insert(key, version, retention)
            model.insert(key, version, retention)
            return key
        }

        /// Publishes, registers or releases at random.
        mutating func turn() {
            switch Int.random(in: 0..<8, using: &generator) {
            case 0, 1: visible = UInt64.random(in: visible...sequence, using: &generator)
            case 2: visible = sequence
            case 3 where registered.last != visible: registered.append(visible)
            case 4 where !registered.isEmpty:
                registered.remove(at: Int.random(in: 0..<registered.count, using: &generator))
            default: break
            }
        }
    }

    @Test(arguments: UInt64(0)..<60)
    func whatMayBeReadIsKeptAndNothingElse(seed: UInt64) {
        var run = Run(seed: seed)
        for _ in 0..<400 {
            let key = run.insert()

            #expect(
                run.index.linkedSequences(of: key) == run.model.linked[key],
                "seed \(seed)"
            )
            #expect(run.index.versionCount == run.model.versionCount, "seed \(seed)")
            #expect(run.index.unlinkedBytes == run.model.unlinkedBytes, "seed \(seed)")
            for key in run.model.sortedKeys {
                for read in run.registered + [run.visible, run.sequence] {
                    #expect(
                        run.index.version(of: key, at: read)
                            == run.model.version(of: key, at: read),
                        "seed \(seed)"
                    )
                }
            }
            run.turn()
        }
        run.index.checkInvariants()
    }

    @Test func onlyTheLatestVersionStaysWhenNobodyReads() {
        let index = MemoryIndex()
        for sequence in UInt64(1)...100 { index.insert([1], value: [1, 2], sequence: sequence) }

        // The one that is published, and the one about to be.
        #expect(index.linkedSequences(of: [1]) == [100, 99])
        #expect(index.versionCount == 2)
        let (first, later) = (
            IndexVersion.size(valueSize: 2, isFirst: true),
            IndexVersion.size(valueSize: 2, isFirst: false)
        )
        #expect(index.unlinkedBytes == first + 97 * later)
    }

    @Test func whatIsNotPublishedStays() {
        let index = MemoryIndex()
        let retention = MemoryIndex.Retention(visible: 1, registered: [])
        for sequence in UInt64(1)...5 {
            index.insert([1], ModelVersion(sequence: sequence, value: []), retention)
        }

        #expect(index.linkedSequences(of: [1]) == [5, 4, 3, 2, 1])
    }

    @Test func theFirstWriteAfterAGroupUnlinksWhatTheGroupLeft() {
        let index = MemoryIndex()
        let group = MemoryIndex.Retention(visible: 0, registered: [])
        for sequence in UInt64(1)...5 {
            index.insert([1], ModelVersion(sequence: sequence, value: []), group)
        }
        let next = MemoryIndex.Retention(visible: 5, registered: [2])
        index.insert([1], ModelVersion(sequence: 6, value: []), next)

        #expect(index.linkedSequences(of: [1]) == [6, 5, 2])
    }

    @Test func aReaderOnAnUnlinkedVersionWalksOnToOlderOnes() {
        let index = MemoryIndex()
        func insert(_ sequence: UInt64, _ visible: UInt64) {
            let retention = MemoryIndex.Retention(visible: visible, registered: [1])
            index.insert([1], ModelVersion(sequence: sequence, value: []), retention)
        }
        insert(1, 0)
        insert(2, 1)
        insert(3, 2)
        let second = [UInt8]([1]).withUnsafeBytes { index.find($0, at: 2).version }

        for sequence in UInt64(4)...6 { insert(sequence, sequence - 1) }

        #expect(index.linkedSequences(of: [1]) == [6, 5, 1])
        #expect(second?.sequence == 2 && second?.next?.sequence == 1)
    }
}
