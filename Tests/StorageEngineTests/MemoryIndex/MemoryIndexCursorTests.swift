import StorageEngineTestSupport
import Testing

@testable import StorageEngine

@Suite struct MemoryIndexCursorTests {
    /// Where a cursor must stand: a place among the keys that its sequence sees.
    struct Expectation {
        let keys: [[UInt8]]
        var place: Int?

        mutating func move(to place: Int) {
            self.place = keys.indices.contains(place) ? place : nil
        }

        var key: [UInt8]? { place.map { keys[$0] } }
    }

    /// One random move of a cursor and of its expectation; whether the cursor found an entry.
    static func move(
        _ cursor: inout MemoryIndexCursor,
        _ expected: inout Expectation,
        _ shapes: inout KeyShapes,
        _ choice: Int
    ) -> Bool {
        switch choice {
        case 0:
            expected.move(to: 0)
            return cursor.seekToFirst()
        case 1:
            expected.move(to: expected.keys.count - 1)
            return cursor.seekToLast()
        case 2, 3, 4:
            let key = shapes.next()
            expected.move(to: expected.keys.firstPlace(notBefore: key))
            return key.withUnsafeBytes { cursor.seek(to: $0) }
        case 5, 6, 7:
            let key = shapes.next()
            expected.move(to: expected.keys.firstPlace(notBefore: key) - 1)
            return key.withUnsafeBytes { cursor.seek(before: $0) }
        case 8..<20:
            expected.place.map { expected.move(to: $0 + 1) }
            return cursor.next()
        default:
            expected.place.map { expected.move(to: $0 - 1) }
            return cursor.previous()
        }
    }

    @Test(arguments: UInt64(0)..<40)
    func aCursorSeesItsSequenceHoweverItMovesWhileOthersWrite(seed: UInt64) {
        var shapes = KeyShapes(seed: seed)
        var generator = SeededGenerator(seed: ~seed)
        let index = MemoryIndex()
        var model = IndexModel()
        var sequence: UInt64 = 0
        var registered: [UInt64] = []
        func insert() {
            let retention = MemoryIndex.Retention(visible: sequence, registered: registered)
            sequence += 1
            let version = ModelVersion(
                sequence: sequence,
                value: [UInt8(sequence & 0xff)],
                isTombstone: Bool.random(using: &generator)
            )
            let key = shapes.next()
            index.insert(key, version, retention)
            model.insert(key, version, retention)
        }

        for round in 0..<12 {
            for _ in 0..<(round * 20) { insert() }
            registered.append(sequence)
            if registered.count > 3 { registered.removeFirst() }
            let read = registered.randomElement(using: &generator) ?? sequence
            var cursor = MemoryIndexCursor(index, at: read)
            var expected = Expectation(keys: model.keys(at: read), place: nil)
            for _ in 0..<200 {
                let choice = Int.random(in: 0..<32, using: &generator)
                let isOnEntry = Self.move(&cursor, &expected, &shapes, choice)
                let key = isOnEntry ? Array(cursor.key) : nil
                #expect(key == expected.key, "seed \(seed)")
                guard let key, key == expected.key else { continue }
                let version = ModelVersion(cursor.version)
                #expect(version == model.version(of: key, at: read), "seed \(seed)")
                if Int.random(in: 0..<4, using: &generator) == 0 { insert() }
            }
        }
    }

    @Test(arguments: UInt64(0)..<2)
    func aCursorMovesAmongKeysOf65536Bytes(seed: UInt64) {
        var shapes = KeyShapes(seed: seed, longestSize: 65_536)
        var generator = SeededGenerator(seed: ~seed)
        let index = MemoryIndex()
        var keys: [[UInt8]] = []
        for sequence in UInt64(1)...150 {
            let key = shapes.next()
            index.insert(key, sequence: sequence)
            let place = keys.firstPlace(notBefore: key)
            if place == keys.count || keys[place] != key { keys.insert(key, at: place) }
        }
        var cursor = MemoryIndexCursor(index, at: 150)
        var expected = Expectation(keys: keys, place: nil)
        for _ in 0..<400 {
            let choice = Int.random(in: 0..<32, using: &generator)
            let isOnEntry = Self.move(&cursor, &expected, &shapes, choice)
            let isRight = (isOnEntry ? Array(cursor.key) : nil) == expected.key
            #expect(isRight, "seed \(seed)")
        }
    }

    @Test func seeksFindEveryNeighbourOfEveryKey() {
        let index = MemoryIndex()
        var keys: [[UInt8]] = [[]]
        for first in [UInt8]([0, 1, 0xfe, 0xff]) {
            keys.append([first])
            for second in [UInt8]([0, 1, 0x7f, 0xff]) {
                keys.append([first, second])
                keys.append([first, second, 0])
                keys.append([first, second, 0xff, 0xff, 0xff])
            }
        }
        keys.sort { $0.lexicographicallyPrecedes($1) }
        for (place, key) in keys.enumerated() where !place.isMultiple(of: 2) {
            index.insert(key, sequence: UInt64(place))
        }
        let present = keys.indices.filter { !$0.isMultiple(of: 2) }.map { keys[$0] }
        var cursor = MemoryIndexCursor(index, at: .max)

        for key in keys {
            let place = present.firstPlace(notBefore: key)
            let atOrBehind = key.withUnsafeBytes { cursor.seek(to: $0) } ? Array(cursor.key) : nil
            #expect(atOrBehind == (place < present.count ? present[place] : nil))
            let before = key.withUnsafeBytes { cursor.seek(before: $0) } ? Array(cursor.key) : nil
            #expect(before == (place > 0 ? present[place - 1] : nil))
        }
    }

    @Test func aCursorThatRanOffTheEndStaysOff() {
        let index = MemoryIndex()
        for byte in UInt8(0)..<3 { index.insert([byte], sequence: UInt64(byte) + 1) }
        var cursor = MemoryIndexCursor(index, at: 3)

        #expect(!cursor.next() && !cursor.previous())
        #expect(cursor.seekToLast() && !cursor.next() && !cursor.next() && !cursor.previous())
        #expect(cursor.seekToFirst() && !cursor.previous() && !cursor.next())
    }

    @Test func keysThatCameLaterAreSteppedOver() {
        let index = MemoryIndex()
        for byte in UInt8(0)...255 { index.insert([byte], sequence: UInt64(byte) + 1) }

        #expect(index.keysForward(at: 0) == [])
        #expect(index.keysBackward(at: 0) == [])
        #expect(index.keysForward(at: 10) == (0..<10).map { [$0] })
        #expect(index.keysBackward(at: 10) == (0..<10).reversed().map { [$0] })
    }
}
