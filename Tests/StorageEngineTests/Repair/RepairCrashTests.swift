import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// A repair that is cut short, or of which calls fail, leaves a store that another repair finishes;
/// nothing that was damaged is gone.
@Suite struct RepairCrashTests {
    private let check: RepairCheck

    init() throws { check = RepairCheck(try SampleStore()) }

    /// Every second step; `enginesim --damage` tries all of them.
    @Test(arguments: RepairCheck.ways.indices)
    func aCrashAtAnyStepIsRepairedByTheNextRepair(_ way: Int) throws {
        let (damage, name) = RepairCheck.ways[way]

        let count = try check.checkCrashes(of: damage, to: name, every: 2)

        #expect(count > 8)
    }

    @Test(arguments: RepairCheck.ways.indices)
    func anyCallOfARepairMayFail(_ way: Int) throws {
        let (damage, name) = RepairCheck.ways[way]
        let plain = try check.image([damage])
        let damaged = try #require(plain.bytes(ofFile: "db/\(name)", .cached))
        try RepairCheck.repair(plain)
        let calls = plain.callCount
        let expected = try check.contents(plain)
        var failures = 0

        for (index, call) in stride(from: 1, through: calls, by: 11).enumerated() {
            let image = try check.image([damage])
            let errno = index % 2 == 0 ? EIO : ENOSPC
            image.inject(SimulatedFault(nil, errno: errno, occurrence: call))
            do throws(EngineError) {
                try RepairCheck.repair(image)
            } catch {
                #expect(error.code == .io || error.code == .noSpace, "call \(call): \(error)")
                failures += 1
            }
            image.removeFaults()
            try check.checkRepaired(image, expected, "\(damage), call \(call) failed")
            // A failure would print both sides of an expectation.
            let isKept = RepairCheck.keeps(damaged, name, in: image)
            #expect(isKept, "\(damage), call \(call)")
        }
        #expect(failures > 5)
    }
}
