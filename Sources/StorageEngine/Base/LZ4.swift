internal import CLZ4

/// The only user of liblz4: blocks, alone or as a stream over one contiguous window.
package enum LZ4 {
    /// The largest encoding of a block, in bytes.
    package static func bound(_ size: Int) -> Int { Int(LZ4_compressBound(Int32(size))) }

    /// Compresses a block on its own and returns the size, or `nil` when it does not fit the
    /// target.
    package static func compress(
        _ source: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawBufferPointer
    ) -> Int? {
        let size = LZ4_compress_default(
            source.bound(CChar.self),
            target.bound(CChar.self),
            Int32(source.count),
            Int32(target.count)
        )
        return size > 0 ? Int(size) : nil
    }

    /// Decompresses a block into exactly `size` bytes at a place behind its dictionary, which is
    /// the `dictionarySize` bytes right before the target. Returns `false` for malformed input.
    package static func decompress(
        _ source: UnsafeRawBufferPointer,
        to target: UnsafeMutableRawPointer,
        size: Int,
        dictionarySize: Int
    ) -> Bool {
        let dictionary = UnsafeRawPointer(target) - dictionarySize
        let result = LZ4_decompress_safe_usingDict(
            source.bound(CChar.self),
            target.assumingMemoryBound(to: CChar.self),
            Int32(source.count),
            Int32(size),
            dictionary.assumingMemoryBound(to: CChar.self),
            Int32(dictionarySize)
        )
        return result == Int32(size)
    }

    /// A compressor whose blocks use the 64 KiB before them as their dictionary.
    ///
    /// Thread safety: none. The sources of one stream lie one behind the other in memory.
    package struct Stream: ~Copyable, @unchecked Sendable {
        private let state: OpaquePointer

        package init() {
            guard let state = LZ4_createStream() else { preconditionFailure("out of memory") }
            self.state = OpaquePointer(state)
        }

        deinit { LZ4_freeStream(UnsafeMutablePointer(state)) }

        /// Forgets what came before.
        package mutating func restart() { LZ4_resetStream_fast(UnsafeMutablePointer(state)) }

        /// Compresses the next block; the target holds ``LZ4/bound(_:)`` bytes.
        package mutating func compress(
            _ source: UnsafeRawBufferPointer,
            to target: UnsafeMutableRawPointer
        ) -> Int {
            let size = LZ4_compress_fast_continue(
                UnsafeMutablePointer(state),
                source.bound(CChar.self),
                target.assumingMemoryBound(to: CChar.self),
                Int32(source.count),
                LZ4_compressBound(Int32(source.count)),
                1
            )
            precondition(size > 0)
            return Int(size)
        }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func bound<T>(_ type: T.Type) -> UnsafePointer<T>? {
        baseAddress?.assumingMemoryBound(to: type)
    }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate func bound<T>(_ type: T.Type) -> UnsafeMutablePointer<T>? {
        baseAddress?.assumingMemoryBound(to: type)
    }
}
