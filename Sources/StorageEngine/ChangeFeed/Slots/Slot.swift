/// How much of the log a slot may keep from being removed. A slot that needs more is lost: its
/// consumer gets `trimmed`, and the disk does not fill.
public struct SlotLimits: Sendable, Hashable {
    /// Bytes of log files that recovery does not need.
    public var size: UInt64
    /// Age of the oldest record that is needed, by the wall clock.
    public var age: Duration

    /// The limits of a slot.
    public init(size: UInt64 = 1 << 30, age: Duration = .seconds(7 * 24 * 3600)) {
        self.size = size
        self.age = age
    }
}

/// A named consumer's durable place in the history; the log is kept for it within ``limits``.
public struct Slot: Sendable, Hashable {
    /// 1 to 64 letters, digits, dots, dashes and underscores.
    public let name: String
    /// What the consumer has acknowledged: it reads on from here after a restart.
    public internal(set) var position: Position
    /// How much of the log it may keep.
    public internal(set) var limits: SlotLimits
    /// Whether the consumer has not acknowledged anything since its bootstrap began.
    public internal(set) var isBootstrapping: Bool
    /// When it was created, and when something was last acknowledged, in milliseconds since 1970.
    public internal(set) var creationTime, acknowledgementTime: UInt64
    /// Whether the log does not go back to the position any more.
    public internal(set) var isLost = false
    /// How far the consumer is behind: sequences; bytes of log files, with what was written up to
    /// half a megabyte before its position, or to a file's beginning where that is not known; and
    /// the age of the oldest write that it has not acknowledged, in milliseconds: that of the log
    /// file with it, or of the last acknowledgement in the first file. 0 when it has seen
    /// everything.
    public internal(set) var lagSequences: UInt64 = 0, lagBytes: UInt64 = 0, lagTime: UInt64 = 0
    /// Bytes of log files that are kept for consumers from its position on, and not for recovery.
    public internal(set) var retainedBytes: UInt64 = 0

    static let nameSizeMax = 64

    static func isValid(_ name: String) -> Bool {
        (1...nameSizeMax).contains(name.utf8.count)
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }
}
