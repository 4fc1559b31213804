internal import Synchronization

// The block cache: verified, decompressed blocks of segments, up to a budget of bytes.
//
// Which blocks stay follows S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi 2023): three queues in order of
// arrival. A new block enters the small one, a tenth of the budget; one that was asked for again
// before it reaches the end goes on to the main queue, any other leaves, and only its name stays
// for a while: when it comes back under that name it enters the main queue at once. So a long scan
// passes through the small queue and pushes out nothing that is used. A hit changes one counter.

/// What the cache holds a block under.
struct BlockName: Hashable {
    let segment: UInt64
    let offset: UInt64

    /// A mix of both numbers (the finalizer of MurmurHash3).
    @inline(__always)
    var hash: UInt64 {
        var word = offset ^ (segment &* 0x9e37_79b9_7f4a_7c15)
        word ^= word >> 33
        word = word &* 0xff51_afd7_ed55_8ccd
        word ^= word >> 33
        word = word &* 0xc4ce_b9fe_1a85_ec53
        return word ^ word >> 33
    }
}

/// Blocks in memory, up to a budget.
///
/// Thread safety: every method may be called from any thread.
package final class BlockCache: Sendable {
    /// Hits, misses and what lies in the cache.
    package struct Counts: Sendable {
        package var hits: UInt64 = 0, misses: UInt64 = 0
        package var bytes = 0, blocks = 0
    }

    private let shards: [BlockCacheShard]
    private let budget: Int
    /// Bytes of what segments hold themselves, which count as cached.
    private let held = Atomic(0)

    /// A cache of at most `budget` bytes.
    package init(budget: Int) {
        self.budget = budget
        // A shard must hold large values.
        var count = 1
        while count < 16, budget / (2 * count) >= 4 << 20 { count *= 2 }
        shards = (0..<count).map { _ in BlockCacheShard() }
    }

    func block(_ name: BlockName) -> Block? {
        shard(name.hash).block(name)
    }

    /// Puts a block in, unless it is larger than the budget allows or somebody was faster.
    func insert(_ block: Block, _ name: BlockName) {
        let free = max(0, budget - held.load(ordering: .relaxed))
        shard(name.hash).insert(block, name, budget: free / shards.count)
    }

    /// Counts bytes that a segment holds, or, less than 0, does not hold any more.
    func hold(_ bytes: Int) {
        held.wrappingAdd(bytes, ordering: .relaxed)
    }

    private func shard(_ hash: UInt64) -> BlockCacheShard {
        shards[Int(hash >> 56) & (shards.count - 1)]
    }

    package var counts: Counts {
        shards.reduce(into: Counts(bytes: held.load(ordering: .relaxed))) { total, shard in
            let counts = shard.counts
            total.hits += counts.hits
            total.misses += counts.misses
            total.bytes += counts.bytes
            total.blocks += counts.blocks
        }
    }
}

/// A part of the cache with a lock of its own.
///
/// Thread safety: every method may be called from any thread.
private final class BlockCacheShard: @unchecked Sendable {
    private struct Entry {
        let block: Block
        let charge: Int
        /// How often it was asked for since it was queued, at most 3.
        var uses: UInt8 = 0
    }

    private let lock = Lock()

    // The lock.
    private var entries: [BlockName: Entry] = [:]
    private var small = Queue()
    private var main = Queue()
    /// The names of those that left the small queue, and in which order.
    private var ghosts: Set<BlockName> = []
    private var ghostOrder = Queue()
    private var hits: UInt64 = 0
    private var misses: UInt64 = 0

    var counts: BlockCache.Counts {
        lock.with {
            BlockCache.Counts(
                hits: hits,
                misses: misses,
                bytes: small.bytes + main.bytes,
                blocks: entries.count
            )
        }
    }

    func block(_ name: BlockName) -> Block? {
        lock.acquire()
        defer { lock.release() }
        guard let index = entries.index(forKey: name) else {
            misses += 1
            return nil
        }
        hits += 1
        if entries.values[index].uses < 3 { entries.values[index].uses += 1 }
        return entries.values[index].block
    }

    func insert(_ block: Block, _ name: BlockName, budget: Int) {
        let charge = block.charge
        guard charge <= budget else { return }
        // Blocks are freed without the lock.
        var dropped: [Block] = []
        lock.with {
            guard entries[name] == nil else { return }
            while small.bytes + main.bytes + charge > budget { evict(&dropped, budget: budget) }
            entries[name] = Entry(block: block, charge: charge)
            if ghosts.remove(name) != nil {
                main.append(name, charge)
            } else {
                small.append(name, charge)
            }
        }
    }

    private func evict(_ dropped: inout [Block], budget: Int) {
        if small.bytes * 10 > budget || main.isEmpty {
            evictSmall(&dropped)
        } else {
            evictMain(&dropped)
        }
    }

    private func evictSmall(_ dropped: inout [Block]) {
        guard let (name, charge) = small.removeFirst() else { return }
        if let entry = entries[name], entry.uses > 0 {
            entries[name]?.uses = 0
            main.append(name, charge)
            return
        }
        if let entry = entries.removeValue(forKey: name) { dropped.append(entry.block) }
        if ghosts.insert(name).inserted { ghostOrder.append(name, 0) }
        while ghostOrder.count > max(16, entries.count), let (old, _) = ghostOrder.removeFirst() {
            ghosts.remove(old)
        }
    }

    private func evictMain(_ dropped: inout [Block]) {
        guard let (name, charge) = main.removeFirst() else { return }
        if let entry = entries[name], entry.uses > 0 {
            entries[name]?.uses = entry.uses - 1
            main.append(name, charge)
            return
        }
        if let entry = entries.removeValue(forKey: name) { dropped.append(entry.block) }
    }

    /// Names in order of arrival.
    private struct Queue {
        private var names: [(BlockName, Int)] = []
        private var first = 0
        private(set) var bytes = 0

        var count: Int { names.count - first }
        var isEmpty: Bool { count == 0 }

        mutating func append(_ name: BlockName, _ charge: Int) {
            names.append((name, charge))
            bytes += charge
        }

        mutating func removeFirst() -> (BlockName, Int)? {
            guard first < names.count else { return nil }
            let removed = names[first]
            first += 1
            bytes -= removed.1
            if first > 1024, first * 2 > names.count {
                names.removeFirst(first)
                first = 0
            }
            return removed
        }
    }
}
