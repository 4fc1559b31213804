import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Whatever is damaged: a repaired or salvaged store opens, verifies, takes writes, and differs
/// from what was written at most where something is told to be lost. A sample; `enginesim --damage`
/// tries more.
@Suite struct RepairSweepTests {
    private let store: SampleStore
    private let check: RepairCheck
    private let damages: [Damage]

    init() throws {
        store = try SampleStore()
        check = RepairCheck(store)
        let sweep = DamageSweep(store)
        let all = try sweep.damages(stride: 997)
        // What happens to whole files, and a part of what happens to bytes.
        damages = all.enumerated().filter { index, damage in
            switch damage {
            case .swap, .delete, .duplicate: index % 2 == 0
            case .flip, .zero, .truncate: index % 19 == 0
            }
        }.map(\.element)
    }

    @Test func aRepairFindsWhatTheEngineRefusesAndNothingElse() throws {
        let sweep = DamageSweep(store)
        var lossless = 0
        for damage in damages {
            let outcome = try sweep.check(damage)
            let report = try check.checkRepair([damage])
            #expect((report != nil) == (outcome != .equal), "\(damage)")
            if let report, report.losses.isEmpty { lossless += 1 }
        }
        #expect(damages.count > 80 && lossless > 20)
    }

    @Test func whatCanBeReadIsSalvaged() throws {
        var lossless = 0
        for damage in damages {
            if try check.checkSalvage([damage]).losses.isEmpty { lossless += 1 }
        }
        #expect(lossless > 20)
    }

    @Test func severalDamagesAtATimeAreRepairedAndSalvaged() throws {
        let all = try DamageSweep(store).damages(stride: 97)
        for seed in UInt64(0)..<20 {
            var generator = SeededGenerator(seed: seed)
            let count = Int.random(in: 2...5, using: &generator)
            let damages = (0..<count).compactMap { _ in all.randomElement(using: &generator) }
            // The errors name the damages.
            _ = try check.checkRepair(damages)
            _ = try check.checkSalvage(damages)
        }
    }
}
