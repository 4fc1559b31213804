internal import CXXHash

/// XXH3-64, the only checksum of the engine.
package enum Checksum {
    @inline(__always)
    package static func xxh3(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
        XXH3_64bits_withSeed(bytes.baseAddress, bytes.count, seed)
    }

    /// The checksum of bytes that come piece by piece.
    ///
    /// Thread safety: none.
    package struct Stream: ~Copyable, @unchecked Sendable {
        private let state: OpaquePointer

        package init() {
            guard let state = XXH3_createState() else { preconditionFailure("out of memory") }
            self.state = state
            XXH3_64bits_reset(state)
        }

        deinit { XXH3_freeState(state) }

        package mutating func append(_ bytes: UnsafeRawBufferPointer) {
            XXH3_64bits_update(state, bytes.baseAddress, bytes.count)
        }

        /// The checksum of all bytes so far.
        package borrowing func finish() -> UInt64 { XXH3_64bits_digest(state) }
    }
}
