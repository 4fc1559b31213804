import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Damage to any byte of a small manifest is noticed, or does not matter.
@Suite struct ManifestDamageTests {
    /// A manifest, the states that it went through and where each was complete.
    private struct Small {
        let bytes: [UInt8]
        var states: [ManifestState] = []
        var ends: [Int] = []

        init(isClosed: Bool) throws {
            let store = try ManifestStore()
            let writer = store.writer()
            var maker = EditMaker(seed: 9)
            for _ in 0..<5 {
                var edit = maker.next()
                edit.deltaHorizon = (writer.state.deltaHorizon) + 1
                try writer.commit(edit)
                states.append(writer.state)
                ends.append(try store.bytes(ofManifest: 1).count)
            }
            if isClosed { try writer.close() }
            bytes = try store.bytes(ofManifest: 1)
        }

        /// The state that is read, `nil` when the file is refused.
        func read(_ bytes: [UInt8]) throws -> ManifestState? {
            do throws(EngineError) {
                return try ManifestStore.read(bytes)
            } catch {
                try #require(error.code == .corruption)
                return nil
            }
        }
    }

    @Test(arguments: [false, true])
    func everyFlippedByteGivesTheRightStateOrATypedError(isClosed: Bool) throws {
        let small = try Small(isClosed: isClosed)
        let lastStart = small.ends[small.ends.count - 2]
        var refusals = 0
        var losses = 0

        for offset in small.bytes.indices {
            var bytes = small.bytes
            bytes[offset] ^= UInt8(1 << (offset % 8))
            guard let found = try small.read(bytes) else {
                refusals += 1
                continue
            }
            if found != small.states.last {
                // Nothing proves the last frame when no seal follows.
                #expect(!isClosed && offset >= lastStart, "byte \(offset)")
                #expect(found == small.states[small.states.count - 2], "byte \(offset)")
                losses += 1
            }
        }

        #expect(refusals > 4096)
        #expect(isClosed ? losses == 0 : losses > 20)
    }

    @Test(arguments: [false, true])
    func everyTruncationGivesAWholeStateOrATypedError(isClosed: Bool) throws {
        let small = try Small(isClosed: isClosed)

        for length in small.bytes.indices {
            let found = try small.read(Array(small.bytes[..<length]))
            let count = small.ends.count { $0 <= length }
            // Of the last frame's padding nothing is missed; before the snapshot's end all is.
            let isPadding =
                found != nil && count < small.states.count
                && found == small.states[count]
            let expected = count == 0 ? nil : small.states[count - 1]
            #expect(found == expected || isPadding, "length \(length)")
        }
    }

    @Test func bytesBehindASealAreCorruption() throws {
        let small = try Small(isClosed: true)

        #expect(try small.read(small.bytes + [0, 0, 0]) == small.states.last)
        #expect(try small.read(small.bytes + [0, 0, 1]) == nil)
    }

    @Test func bytesBehindTheLastFrameAreATornTail() throws {
        let small = try Small(isClosed: false)

        let tail = [UInt8](repeating: 7, count: 100)
        #expect(try small.read(small.bytes + tail) == small.states.last)
    }

    @Test func aLostFrameBeforeAnotherIsCorruptionWhateverItHolds() throws {
        let small = try Small(isClosed: false)

        for index in 0..<4 {
            var bytes = small.bytes
            let start = index == 0 ? 4096 : small.ends[index - 1]
            for offset in start..<small.ends[index] { bytes[offset] = 0 }

            #expect(try small.read(bytes) == nil, "frame \(index)")
        }
    }
}
