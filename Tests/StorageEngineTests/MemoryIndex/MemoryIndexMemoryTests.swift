import Glibc
import StorageEngineTestSupport
import Synchronization
import Testing

@testable import StorageEngine

/// What an index takes of the machine: memory, and depth of the stack.
@Suite struct MemoryIndexMemoryTests {
    @Test func anArenaCountsWhatItHandsOut() {
        var generator = SeededGenerator(seed: 1)
        let arena = Arena()
        var used = 0
        var pieces: [(start: UInt, size: Int)] = []
        for _ in 0..<2_000 {
            let isLarge = Int.random(in: 0..<40, using: &generator) == 0
            let size = Int.random(in: 1...(isLarge ? 400_000 : 600), using: &generator)
            let piece = arena.allocate(size)
            // The whole piece can be written.
            memset(piece, 0x5a, size)
            pieces.append((UInt(bitPattern: piece), size))
            used += (size + 7) & ~7
            #expect(arena.usedBytes == used)
            #expect(arena.byteCount >= used)
        }

        pieces.sort { $0.start < $1.start }
        for (piece, next) in zip(pieces, pieces.dropFirst()) {
            #expect(piece.start.isMultiple(of: 8))
            #expect(piece.start + UInt(piece.size) <= next.start)
        }
    }

    @Test func aPieceLargerThanAChunkFits() {
        let arena = Arena()
        let size = 5 << 20
        memset(arena.allocate(size), 1, size)
        memset(arena.allocate(8), 1, 8)

        #expect(arena.usedBytes == size + 8)
        #expect(arena.byteCount >= arena.usedBytes)
    }

    @Test(arguments: UInt64(0)..<8)
    func everyUsedByteIsAnEntrysOrANodes(seed: UInt64) {
        var shapes = KeyShapes(seed: seed)
        let index = MemoryIndex()
        var model = IndexModel()
        for sequence in UInt64(1)...1_000 {
            let retention = MemoryIndex.Retention(visible: sequence - 1, registered: [])
            let key = shapes.next()
            let value = [UInt8](repeating: 1, count: Int(sequence % 100))
            let version = ModelVersion(sequence: sequence, value: value)
            let nodeBytes = index.usedBytes - model.entryBytes
            index.insert(key, version, retention)
            model.insert(key, version, retention)

            // An insert makes one node at most.
            let added = index.usedBytes - model.entryBytes - nodeBytes
            #expect(([0] + Self.nodeSizes).contains(added), "seed \(seed)")
            #expect(index.byteCount >= index.usedBytes, "seed \(seed)")
            #expect(index.unlinkedBytes == model.unlinkedBytes, "seed \(seed)")
        }
    }

    static let nodeSizes = [
        IndexNode.size(.node4), IndexNode.size(.node16), IndexNode.size(.node48),
        IndexNode.size(.node256),
    ]

    @Test func aNodeGrowsThroughAllSizes() {
        let index = MemoryIndex()
        for byte in UInt8(0)...255 { index.insert([byte], sequence: UInt64(byte) + 1) }
        let entries =
            256 * (IndexLeaf.size(keySize: 1) + IndexVersion.size(valueSize: 0, isFirst: true))

        #expect(index.usedBytes == entries + Self.nodeSizes.reduce(0, +))
    }

    @Test func memoryIsGivenBackWithTheIndex() throws {
        let value = [UInt8](repeating: 1, count: 100_000)
        let before = try #require(residentSize())
        for _ in 0..<80 {
            let index = MemoryIndex()
            for sequence in UInt64(1)...100 {
                index.insert([UInt8(sequence)], value: value, sequence: sequence)
            }
        }

        // 800 MB were used in all, 10 MB at a time; other tests run meanwhile.
        #expect(try #require(residentSize()) < before + 400_000_000)
    }

    @Test func chainsOfPrefixesNeedNoStack() {
        let whole = [UInt8](repeating: 0xff, count: 65_536)
        let sizes = Array(stride(from: 0, through: 65_536, by: 64))
        let outcome = Mutex<(forward: [Int], backward: [Int], found: Int)>(([], [], 0))

        onSmallStack {
            let index = MemoryIndex()
            for (place, size) in sizes.enumerated() {
                let sequence = UInt64(place) + 1
                _ = whole.withUnsafeBytes { bytes in
                    index.insert(
                        key: UnsafeRawBufferPointer(rebasing: bytes[..<size]),
                        value: UnsafeRawBufferPointer(start: nil, count: 0),
                        flags: 0,
                        sequence: sequence,
                        retention: MemoryIndex.Retention(visible: sequence - 1, registered: [])
                    )
                }
            }
            let found = sizes.count { size in
                whole.withUnsafeBytes { bytes in
                    let key = UnsafeRawBufferPointer(rebasing: bytes[..<size])
                    return index.find(key, at: .max).version != nil
                }
            }
            index.checkInvariants()
            let (forward, backward) = (sizesForward(index), sizesBackward(index))
            outcome.withLock { $0 = (forward, backward, found) }
        }

        outcome.withLock {
            #expect($0.found == sizes.count)
            #expect($0.forward == sizes)
            #expect($0.backward == sizes.reversed())
        }
    }

    /// Runs a closure on a thread whose stack a recursion of a thousand levels would overflow.
    private func onSmallStack(_ body: @escaping @Sendable () -> Void) {
        final class Start {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setstacksize(&attributes, 96 << 10)
        defer { pthread_attr_destroy(&attributes) }
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(body)).toOpaque()
        let code = pthread_create(
            &thread,
            &attributes,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Start>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            },
            start
        )
        precondition(code == 0, "cannot start a thread, errno \(code)")
        pthread_join(thread, nil)
    }
}

private func sizesForward(_ index: MemoryIndex) -> [Int] {
    var cursor = MemoryIndexCursor(index, at: .max)
    var sizes: [Int] = []
    var isOnEntry = cursor.seekToFirst()
    while isOnEntry {
        sizes.append(cursor.key.count)
        isOnEntry = cursor.next()
    }
    return sizes
}

private func sizesBackward(_ index: MemoryIndex) -> [Int] {
    var cursor = MemoryIndexCursor(index, at: .max)
    var sizes: [Int] = []
    var isOnEntry = cursor.seekToLast()
    while isOnEntry {
        sizes.append(cursor.key.count)
        isOnEntry = cursor.previous()
    }
    return sizes
}
