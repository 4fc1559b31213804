internal import Glibc
internal import Synchronization

/// Memory that is handed out piece by piece and freed as a whole.
///
/// Thread safety: one thread at a time allocates; the counts may be read from any thread.
package final class Arena: @unchecked Sendable {
    private var chunks: [UnsafeMutableRawPointer] = []
    private var next: UnsafeMutableRawPointer?
    private var left = 0
    private var chunkSize = 16 << 10
    private let taken = Atomic<Int>(0)
    private let used = Atomic<Int>(0)

    /// Chunks of this size lie on a huge page where the system has one: random reads then miss the
    /// translation cache far less often.
    private static let chunkSizeMax = 2 << 20

    package init() {}

    deinit { for chunk in chunks { free(chunk) } }

    /// Bytes taken from the system.
    package var byteCount: Int { taken.load(ordering: .relaxed) }
    /// Bytes handed out.
    package var usedBytes: Int { used.load(ordering: .relaxed) }

    /// Uninitialized memory at a multiple of 8.
    @inline(__always)
    package func allocate(_ size: Int) -> UnsafeMutableRawPointer {
        let size = (size + 7) & ~7
        if size <= left, let start = next {
            next = start + size
            left -= size
            used.store(used.load(ordering: .relaxed) + size, ordering: .relaxed)
            return start
        }
        return allocateSlowly(size)
    }

    private func allocateSlowly(_ size: Int) -> UnsafeMutableRawPointer {
        used.store(used.load(ordering: .relaxed) + size, ordering: .relaxed)
        // What would waste much of a chunk gets memory of its own.
        if size > Self.chunkSizeMax / 8 { return take(size) }
        repeat {
            chunkSize = min(2 * chunkSize, Self.chunkSizeMax)
        } while chunkSize < size
        let start = take(chunkSize)
        next = start + size
        left = chunkSize - size
        return start
    }

    private func take(_ size: Int) -> UnsafeMutableRawPointer {
        var pointer: UnsafeMutableRawPointer?
        let isLarge = size >= Self.chunkSizeMax
        let code = posix_memalign(&pointer, isLarge ? Self.chunkSizeMax : 64, size)
        guard code == 0, let pointer else { preconditionFailure("out of memory") }
        // A hint; nothing depends on it.
        if isLarge { _ = madvise(pointer, size, MADV_HUGEPAGE) }
        chunks.append(pointer)
        taken.store(taken.load(ordering: .relaxed) + size, ordering: .relaxed)
        return pointer
    }
}
