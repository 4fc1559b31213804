/// What the frames of one file depend on besides their place in it; the file's header says it.
package struct FrameStream: Hashable, Sendable {
    /// What binds the frames to the file.
    package let seed: UInt64
    /// The last sequence before the first frame; frames store their sequences relative to it.
    package let baseSequence: UInt64
    /// The log hash before the first record.
    package let initialHash: UInt64
    /// The last stamp before the first record.
    package let baseStamp: UInt64

    package init(seed: UInt64, baseSequence: UInt64, initialHash: UInt64, baseStamp: UInt64) {
        self.seed = seed
        self.baseSequence = baseSequence
        self.initialHash = initialHash
        self.baseStamp = baseStamp
    }
}

extension FrameHeader {
    /// Decodes the header at an offset of a file, `nil` when there is none; see
    /// ``init(decoding:at:seed:base:headerSize:)``.
    package init?(
        decoding bytes: UnsafeRawBufferPointer,
        at offset: UInt64,
        of stream: FrameStream,
        headerSize: inout Int
    ) {
        self.init(
            decoding: bytes,
            at: offset,
            seed: stream.seed,
            base: stream.baseSequence,
            headerSize: &headerSize
        )
    }
}
