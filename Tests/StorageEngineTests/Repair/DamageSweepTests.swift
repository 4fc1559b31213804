import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Damage at rest to any file of a store gives right data or a typed error that says where. A
/// sample; `enginesim --damage` tries every byte.
@Suite struct DamageSweepTests {
    @Test func theSampleHasEveryKindOfFile() throws {
        let store = try SampleStore()
        let directory = try StoreDirectory.open(path: SampleStore.directory, in: store.fileSystem)
        let tree = try StoreInspector.read(directory) { _, _ in }
        let segments = tree.segments.map(\.info)

        #expect(store.levels.first == 1 && store.levels.filter { $0 > 0 }.count >= 3)
        #expect(tree.manifest.edits >= 4 && !tree.manifest.isDamaged)
        #expect(store.files.filter { $0.name.hasSuffix(".log") }.count >= 4)
        #expect(segments.contains { $0.rangeTombstoneCount > 0 })
        // A snapshot kept older versions.
        let versions = segments.reduce(0) { $0 + $1.entryCount }
        #expect(versions > 2 * UInt64(store.keys.count))
    }

    @Test func everyDamageGivesRightDataOrATypedError() throws {
        let sweep = DamageSweep(try SampleStore())
        var kinds: [String: Int] = [:]
        var outcomes: [String: Int] = [:]

        for damage in try sweep.damages(stride: 997) {
            kinds[damage.kind, default: 0] += 1
            outcomes[try sweep.check(damage).name, default: 0] += 1
        }

        #expect(kinds.count == 6 && kinds.values.allSatisfy { $0 >= 5 })
        #expect(outcomes["refused with corruption", default: 0] > 500)
        #expect(outcomes["refused with logGap", default: 0] > 0)
        #expect(outcomes["opened, then corruption", default: 0] > 100)
        #expect(outcomes["equal", default: 0] > 50)
    }
}
