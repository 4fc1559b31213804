/// Something that is wrong with a file of a store.
package struct StoreDefect: Sendable, Hashable {
    package let code: EngineError.Code
    package let message: String
    package let file: String
    package let offset: UInt64

    init(_ error: EngineError, file: String) {
        code = error.code
        message = error.message
        self.file = error.file ?? file
        offset = error.offset ?? 0
    }
}

/// Writes that are lost, or not known to be there.
package struct StoreLoss: Sendable, Hashable {
    package enum Kind: String, Sendable {
        /// Records that cannot be read.
        case unreadable
        /// Records that can be read, behind others that cannot: they are not part of a store whose
        /// history has no hole.
        case behindHole
        /// Versions of keys in a segment. An older value may be seen instead.
        case versions
        /// Range deletes of a segment: what they deleted may be seen again.
        case rangeDeletes
        /// Nothing says how far the log went: what was written last may be missing.
        case unknownEnd
        /// Nothing says which segments were live: what was overwritten or deleted may come back.
        case unknownSegments
    }

    package let kind: Kind
    /// The file that is damaged; `nil` when it is not one alone.
    package let file: String?
    /// The keys concerned; all keys when nothing is known of them.
    package let keys: KeyRange
    /// The first and the last sequence that may be concerned; `nil` when nothing is known of them.
    package let sequences: ClosedRange<UInt64>?

    init(
        _ kind: Kind,
        file: String? = nil,
        keys: KeyRange = .all,
        sequences: ClosedRange<UInt64>? = nil
    ) {
        self.kind = kind
        self.file = file
        self.keys = keys
        self.sequences = sequences
    }

    /// Whether what is left is no state that the history ever had.
    var isInside: Bool {
        switch kind {
        case .unreadable, .behindHole, .unknownEnd: false
        case .versions, .rangeDeletes, .unknownSegments: true
        }
    }
}

extension SegmentInfo {
    /// All keys of the segment.
    var keys: KeyRange {
        KeyRange(from: smallest, to: excludesLargest ? largest : largest + [0])
    }
}
