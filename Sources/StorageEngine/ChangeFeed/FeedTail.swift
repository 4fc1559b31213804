internal import Synchronization

// The newest records in memory, for consumers that keep up with the writers.
//
// Whoever commits puts each record in once it is in the index and before it is readable. Records
// lie one behind the other in chunks; a chunk is written by one thread and read by any, which see
// what was published. A consumer holds the chunk that it reads, and finds the next one by its
// sequence: so it keeps at most one chunk from being freed, however slow it is.
//
// (1) The chunks are consecutive: each begins where the one before ends. They are of one epoch
//     each.
// (2) Nothing is put in while nobody reads: the first consumer starts it, and reads what came
//     before from the log.
// (3) When the chunks together exceed the budget the oldest one goes. A record that is too large
//     for them is left out, and all before it with it: it is read from the log.

/// The newest records.
///
/// Thread safety: `append` belongs to the commit role; everything else may be called from any
/// thread.
final class FeedTail: @unchecked Sendable {
    /// The bytes of records that are kept.
    static let sizeMax = 4 << 20
    private static let chunkSize = 256 << 10

    private let lock = Lock()
    /// How many consumers there are; changed under the lock.
    private let readerCount = Atomic<Int>(0)
    /// How often a consumer went to files for what is not here.
    private let missCount = Atomic<UInt64>(0)
    // The lock; changed by the commit role only.
    private var chunks: [FeedChunk] = []

    /// A consumer is there from now on, until ``leave()``.
    func enter() { _ = readerCount.wrappingAdd(1, ordering: .relaxed) }

    func leave() { _ = readerCount.wrappingSubtract(1, ordering: .relaxed) }

    /// Whether records should be put in.
    var isWanted: Bool { consumerCount > 0 }

    /// How many consumers there are.
    var consumerCount: Int { readerCount.load(ordering: .relaxed) }

    /// Notes that a consumer goes to files.
    func noteMiss() { missCount.add(1, ordering: .relaxed) }

    var misses: UInt64 { missCount.load(ordering: .relaxed) }

    /// Puts in a record that follows the one before, and publishes it.
    func append(
        _ head: RecordHead,
        epoch: Epoch,
        hashes: (before: UInt64, with: UInt64),
        operations: UnsafeRawBufferPointer
    ) {
        let size = FeedChunk.size(operations.count)
        if let last = chunks.last, last.epoch == epoch, last.lastSequence == head.previousSequence,
            last.append(head, hash: hashes.with, operations: operations)
        {
            return
        }
        guard size <= Self.sizeMax / 4 else { return removeAll() }
        let chunk = FeedChunk(
            epoch: epoch,
            previousSequence: head.previousSequence,
            hashBefore: hashes.before,
            capacity: max(size, Self.chunkSize)
        )
        let isTaken = chunk.append(head, hash: hashes.with, operations: operations)
        precondition(isTaken, "a new chunk has room for its first record")
        add(chunk)
    }

    /// Forgets everything: the record that comes next is not in here.
    func removeAll() {
        let old = lock.with {
            defer { chunks = [] }
            return chunks
        }
        _ = old
    }

    private func add(_ chunk: FeedChunk) {
        let isNext = chunks.last.map { $0.lastSequence == chunk.previousSequence } ?? true
        var dropped: [FeedChunk] = []
        lock.with {
            if !isNext { swap(&dropped, &chunks) }
            chunks.append(chunk)
            var size = chunks.reduce(0) { $0 + $1.capacity }
            while size > Self.sizeMax, chunks.count > 1 {
                let oldest = chunks.removeFirst()
                size -= oldest.capacity
                dropped.append(oldest)
            }
        }
    }

    /// The chunk that holds the first record behind a sequence; `nil` when none does.
    func chunk(after sequence: UInt64) -> FeedChunk? {
        lock.with {
            guard let chunk = chunks.last(where: { $0.previousSequence <= sequence }),
                chunk.lastSequence > sequence
            else { return nil }
            return chunk
        }
    }
}

/// Consecutive records of one epoch.
///
/// Thread safety: `append` belongs to the commit role; everything else may be called from any
/// thread.
final class FeedChunk: @unchecked Sendable {
    let epoch: Epoch
    let previousSequence, hashBefore: UInt64
    let capacity: Int
    private let bytes: UnsafeMutableRawPointer
    /// How many bytes hold whole records; what lies behind belongs to the commit role.
    private let published = Atomic<Int>(0)
    private let last: Atomic<UInt64>

    /// What precedes the operations of a record; they are padded to a multiple of its alignment.
    private struct Header {
        let head: RecordHead
        let hash: UInt64
        let size: Int
    }

    private static let headerSize = MemoryLayout<Header>.stride
    private static let alignment = MemoryLayout<Header>.alignment

    init(epoch: Epoch, previousSequence: UInt64, hashBefore: UInt64, capacity: Int) {
        self.epoch = epoch
        self.previousSequence = previousSequence
        self.hashBefore = hashBefore
        self.capacity = capacity
        last = Atomic(previousSequence)
        bytes = .allocate(byteCount: capacity, alignment: Self.alignment)
    }

    deinit { bytes.deallocate() }

    /// The bytes that a record takes.
    static func size(_ operationsSize: Int) -> Int {
        headerSize + (operationsSize + alignment - 1) / alignment * alignment
    }

    var lastSequence: UInt64 { last.load(ordering: .acquiring) }

    /// Takes in the next record; `false` when there is no room.
    func append(_ head: RecordHead, hash: UInt64, operations: UnsafeRawBufferPointer) -> Bool {
        let offset = published.load(ordering: .relaxed)
        let size = Self.size(operations.count)
        guard capacity - offset >= size else { return false }
        (bytes + offset).initializeMemory(
            as: Header.self,
            to: Header(head: head, hash: hash, size: operations.count)
        )
        _ = (bytes + offset + Self.headerSize).appending(operations)
        published.store(offset + size, ordering: .releasing)
        last.store(head.sequence, ordering: .releasing)
        return true
    }

    /// A place in a chunk.
    struct Place {
        fileprivate(set) var offset = 0
        /// The last record before the place, and the log hash with it.
        fileprivate(set) var sequence: UInt64
        fileprivate(set) var hash: UInt64
    }

    /// The place behind the last record at or below a sequence.
    func place(after sequence: UInt64) -> Place {
        var place = Place(sequence: previousSequence, hash: hashBefore)
        while let header = header(at: place), header.head.sequence <= sequence {
            place.move(over: header.head.sequence, header.hash, Self.size(header.size))
        }
        return place
    }

    /// Copies records from a place on, up to a sequence and until they have a size; the place moves
    /// behind them.
    func records(
        from place: inout Place,
        through sequence: UInt64,
        sizeMax: Int
    ) -> RecordBatch {
        var batch = RecordBatch.Builder(
            epoch: epoch,
            previousSequence: place.sequence,
            hashBefore: place.hash
        )
        while batch.size < sizeMax, let header = header(at: place),
            header.head.sequence <= sequence
        {
            let operations = UnsafeRawBufferPointer(
                start: bytes + place.offset + Self.headerSize,
                count: header.size
            )
            batch.append(header.head, hash: header.hash, operations: operations)
            place.move(over: header.head.sequence, header.hash, Self.size(header.size))
        }
        return batch.finish()
    }

    private func header(at place: Place) -> Header? {
        guard place.offset < published.load(ordering: .acquiring) else { return nil }
        return (bytes + place.offset).load(as: Header.self)
    }
}

extension FeedChunk.Place {
    fileprivate mutating func move(over sequence: UInt64, _ hash: UInt64, _ size: Int) {
        offset += size
        self.sequence = sequence
        self.hash = hash
    }
}
