import Testing

@testable import StorageEngine

/// Few bytes, whose checksums are right, must not take much memory: a key that entries share costs
/// nothing in the file, and a copy of it for each costs a lot.
@Suite struct HostileMemoryTests {
    private let longKey = [UInt8](repeating: 7, count: 60_000)

    @Test(arguments: [1, 16, 256, 257, 5000])
    func aMoveBackKeepsFewKeys(count: Int) throws {
        var payload = ByteBuffer()
        for number in 0..<count {
            payload.append(varint: number == 0 ? 0 : UInt64(longKey.count))
            payload.append(varint: number == 0 ? UInt64(longKey.count) : 0)
            payload.append(varint: 0)
            payload.append(UInt8(0))
            payload.append(varint: UInt64(count - number))
            if number == 0 { longKey.withUnsafeBytes { payload.append($0) } }
        }
        payload.append(UInt32(0))
        payload.append(UInt32(1))
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: payload.count, alignment: 16)
        memory.copyMemory(from: payload.bytes)
        let block = try #require(DataBlock(owningEntries: memory))
        var cursor = DataBlockCursor()
        cursor.open(block)

        cursor.seekToLast()

        #expect(cursor.isMalformed == (count > SegmentFormat.restartIntervalMax))
        #expect(cursor.isOnEntry == !cursor.isMalformed)
    }

    @Test(arguments: [(16, true), (235, true), (236, false), (1 << 20, false)])
    func aSeparatorIsNoLongerThanItsBlockCanBe(blockSize: Int, isRefused: Bool) {
        var payload = ByteBuffer()
        payload.append(varint: 0)
        payload.append(varint: UInt64(longKey.count))
        payload.append(varint: UInt64(blockSize))
        longKey.withUnsafeBytes { payload.append($0) }

        let index = SegmentIndex(decoding: payload.bytes, of: 0..<UInt64(blockSize))

        #expect((index == nil) == isRefused)
    }
}
