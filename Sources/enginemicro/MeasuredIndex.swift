internal import StorageEngine

/// What is measured of a sorted index in memory.
///
/// Each operation returns something of what it read, so that it is not optimised away.
protocol MeasuredIndex {
    static var name: String { get }

    init()

    var usedBytes: Int { get }

    func insert(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ sequence: UInt64)
    func get(_ key: UnsafeRawBufferPointer) -> Int
    func scanForward() -> Int
    func scanBackward() -> Int
    func seek(_ keys: KeySet) -> Int
}

struct MeasuredRadixTree: MeasuredIndex {
    static let name = "radix"

    private let index = MemoryIndex()

    var usedBytes: Int { index.usedBytes }

    func insert(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ sequence: UInt64
    ) {
        index.insert(
            key: key,
            value: value,
            flags: 0,
            sequence: sequence,
            retention: MemoryIndex.Retention(visible: sequence - 1, registered: [])
        )
    }

    func get(_ key: UnsafeRawBufferPointer) -> Int {
        index.find(key, at: .max).version?.value.count ?? 0
    }

    func scanForward() -> Int {
        var cursor = MemoryIndexCursor(index, at: .max)
        var total = 0
        var isOnEntry = cursor.seekToFirst()
        while isOnEntry {
            total += cursor.key.count + cursor.version.value.count
            isOnEntry = cursor.next()
        }
        return total
    }

    func scanBackward() -> Int {
        var cursor = MemoryIndexCursor(index, at: .max)
        var total = 0
        var isOnEntry = cursor.seekToLast()
        while isOnEntry {
            total += cursor.key.count + cursor.version.value.count
            isOnEntry = cursor.previous()
        }
        return total
    }

    func seek(_ keys: KeySet) -> Int {
        var cursor = MemoryIndexCursor(index, at: .max)
        var total = 0
        keys.forEach { if cursor.seek(to: $0) { total += cursor.version.value.count } }
        return total
    }
}

struct MeasuredSkipList: MeasuredIndex {
    static let name = "skip"

    private let list = SkipList()

    var usedBytes: Int { list.usedBytes }

    func insert(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ sequence: UInt64
    ) {
        list.insert(key: key, value: value, flags: 0, sequence: sequence)
    }

    func get(_ key: UnsafeRawBufferPointer) -> Int { list.find(key, at: .max)?.value.count ?? 0 }

    func scanForward() -> Int {
        var cursor = SkipListCursor(list, at: .max)
        var total = 0
        var isOnEntry = cursor.seekToFirst()
        while isOnEntry {
            total += cursor.key.count + cursor.version.value.count
            isOnEntry = cursor.next()
        }
        return total
    }

    func scanBackward() -> Int {
        var cursor = SkipListCursor(list, at: .max)
        var total = 0
        var isOnEntry = cursor.seekToLast()
        while isOnEntry {
            total += cursor.key.count + cursor.version.value.count
            isOnEntry = cursor.previous()
        }
        return total
    }

    func seek(_ keys: KeySet) -> Int {
        var cursor = SkipListCursor(list, at: .max)
        var total = 0
        keys.forEach { if cursor.seek(to: $0) { total += cursor.version.value.count } }
        return total
    }
}
