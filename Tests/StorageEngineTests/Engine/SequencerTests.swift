import Testing

@testable import StorageEngine

/// What a record is given.
@Suite struct SequencerTests {
    @Test func stampsAscendWhateverTheWallClockDoes() {
        var recovered = RecoveredLog()
        recovered.lastStamp = 5 << 16
        var sequencer = Sequencer(recovered: recovered, originates: true)
        var last = recovered.lastStamp

        for wall: UInt64 in [3, 7, 7, 6, 0, 8] {
            let stamp = sequencer.next(digest: 1, wallMilliseconds: wall).stamp

            #expect(stamp > last, "at \(wall) ms")
            #expect(stamp >= wall << 16)
            last = stamp
        }
    }
}
