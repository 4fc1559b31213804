/// 128 random bits that name a history of writes or one directory that holds it.
public struct UniqueID: Hashable, Sendable, LosslessStringConvertible {
    /// The upper and the lower 64 bits.
    public let high, low: UInt64

    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Reads the text form; `nil` for any other text.
    public init?(_ description: String) {
        let digits = description.utf8
        let isText =
            digits.count == 32
            && digits.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
            }
        guard isText, let high = UInt64(description.prefix(16), radix: 16),
            let low = UInt64(description.suffix(16), radix: 16)
        else { return nil }
        self.init(high: high, low: low)
    }

    /// 32 lowercase hexadecimal digits.
    public var description: String { hexadecimal(high) + hexadecimal(low) }
}

/// A period of one leader. Equal numbers with different starters are different epochs.
public struct Epoch: Hashable, Sendable, CustomStringConvertible {
    /// Counts the epochs of a history, from 1; 0 before the first write.
    public let number: UInt64
    /// 64 random bits drawn by whoever began the epoch.
    public let starter: UInt64

    /// Names an epoch that was told before.
    public init(number: UInt64, starter: UInt64) {
        self.number = number
        self.starter = starter
    }

    /// The epoch of a store that was never written.
    public static let none = Epoch(number: 0, starter: 0)

    /// Reads the number and the starter.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = UInt64(parts[0]),
            let starter = UInt64(parts[1], radix: 16)
        else { return nil }
        self.init(number: number, starter: starter)
    }

    /// The number and the starter, as in `3-00ff00ff00ff00ff`.
    public var description: String { "\(number)-\(hexadecimal(starter))" }
}

/// A place in a history: every write has one.
///
/// Its text form is `epoch:sequence` or `epoch:sequence:logHash`, as in
/// `3-00ff00ff00ff00ff:1042:0123456789abcdef`.
public struct Position: Hashable, Sendable, LosslessStringConvertible {
    /// The epoch in which the write was made.
    public let epoch: Epoch
    /// The write's place in the total order of its log: strictly increasing, not always dense.
    public let sequence: UInt64
    /// The running hash of all records up to this one; `nil` when it is not known.
    public let logHash: UInt64?

    /// Names a place that was told before. Epoch ``Epoch/none`` stands for any.
    public init(epoch: Epoch = .none, sequence: UInt64, logHash: UInt64? = nil) {
        self.epoch = epoch
        self.sequence = sequence
        self.logHash = logHash
    }

    /// Where every history begins.
    public static let start = Position(sequence: 0)

    /// Reads the text form; `nil` for any other text.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 3, let epoch = Epoch(parts[0]),
            let sequence = UInt64(parts[1])
        else { return nil }
        self.init(epoch: epoch, sequence: sequence, logHash: nil)
        guard parts.count == 3 else { return }
        guard let hash = UInt64(parts[2], radix: 16) else { return nil }
        self.init(epoch: epoch, sequence: sequence, logHash: hash)
    }

    /// The text form.
    public var description: String {
        "\(epoch):\(sequence)" + (logHash.map { ":" + hexadecimal($0) } ?? "")
    }
}

/// An entry of the epoch table: an epoch, and what came before it.
public struct EpochEntry: Hashable, Sendable {
    /// The epoch.
    public let epoch: Epoch
    /// The last sequence of the epochs before, 0 when there was none.
    public let lastSequenceBefore: UInt64
    /// The log hash of the epochs before.
    public let logHashBefore: UInt64

    package init(epoch: Epoch, lastSequenceBefore: UInt64, logHashBefore: UInt64) {
        self.epoch = epoch
        self.lastSequenceBefore = lastSequenceBefore
        self.logHashBefore = logHashBefore
    }
}

extension [EpochEntry] {
    /// The table with what a later one says, whose entries follow each other: whatever this one has
    /// from there on and the later one does not was cut off, even if its number came again.
    package func continued(with later: [EpochEntry]) -> [EpochEntry] {
        guard let first = later.first else { return self }
        return filter { $0.epoch.number < first.epoch.number } + later
    }
}

/// Sixteen lowercase hexadecimal digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
