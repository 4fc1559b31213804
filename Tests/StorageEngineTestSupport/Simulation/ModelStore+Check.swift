package import StorageEngine

/// A promise was broken; the message says which, and the seed that replays it.
package struct SimulationFailure: Error, CustomStringConvertible {
    /// What the broken promises are counted as.
    package enum Kind: String, Sendable, CaseIterable {
        case ackedWriteLost = "acked writes lost"
        case wrongRead = "wrong reads"
        case hang = "hangs"
        case traceMismatch = "trace-hash mismatches"
        case other = "other broken promises"
    }

    package let kind: Kind
    package let description: String

    package init(_ description: String) { self.init(.other, description) }

    package init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }
}

extension ModelStore {
    /// How much of a snapshot is looked at.
    package enum Depth: Sendable {
        /// A scan from the first key on.
        case scan
        /// Scans both ways, and a get of every key that there could be.
        case everything
    }

    /// Compares a snapshot with the model at its sequence, in every way.
    package func check(_ snapshot: Snapshot, _ what: String) throws {
        try check(snapshot, .everything, what)
    }

    /// Compares a snapshot with the model at its sequence.
    package func check(
        _ snapshot: Snapshot,
        _ depth: Depth,
        _ what: String
    ) throws {
        let expected = state(at: snapshot.sequence)
        try checkForward(snapshot, expected, what)
        guard depth == .everything else { return }
        try checkBackward(snapshot, expected, what)
        for index in keys.indices {
            let value = value(ofKeyAt: index, at: snapshot.sequence)
            guard try snapshot.value(for: keys[index]) == value else {
                throw SimulationFailure(
                    .wrongRead,
                    "\(what): a get differs from the model, key \(keys[index])"
                )
            }
        }
    }

    private func checkForward(
        _ snapshot: Snapshot,
        _ expected: [(key: [UInt8], value: [UInt8])],
        _ what: String
    ) throws {
        var cursor = try snapshot.cursor()
        var index = 0
        while try cursor.next() {
            if hasStamps { try ValueStamp.check(cursor.value, key: cursor.key, what) }
            guard index < expected.count, cursor.key.equals(expected[index].key),
                cursor.value.equals(expected[index].value)
            else {
                throw SimulationFailure(
                    .wrongRead,
                    "\(what): entry \(index) of \(expected.count) differs from the model at "
                        + "sequence \(snapshot.sequence); it is \(ValueStamp.text(cursor.value))"
                        + ", expected was "
                        + (index < expected.count ? ValueStamp.text(expected[index].value) : "none")
                )
            }
            index += 1
        }
        guard index == expected.count else {
            throw SimulationFailure(
                .wrongRead,
                "\(what): \(index) entries, the model has \(expected.count) at sequence "
                    + "\(snapshot.sequence)"
            )
        }
    }

    private func checkBackward(
        _ snapshot: Snapshot,
        _ expected: [(key: [UInt8], value: [UInt8])],
        _ what: String
    ) throws {
        var cursor = try snapshot.cursor()
        var index = expected.count
        _ = try cursor.seekToLast()
        while cursor.isOnEntry {
            index -= 1
            guard index >= 0, cursor.key.equals(expected[index].key),
                cursor.value.equals(expected[index].value)
            else {
                throw SimulationFailure(
                    .wrongRead,
                    "\(what): backward, entry \(index) differs from the model"
                )
            }
            _ = try cursor.previous()
        }
        guard index == 0 else {
            throw SimulationFailure(.wrongRead, "\(what): backward, \(index) are missing")
        }
    }
}

/// What a value says of itself, so that one in the wrong place is seen without a model: the number
/// of the write that put it, and a hash that binds that and the key to the rest of the bytes.
package enum ValueStamp {
    /// Values that are shorter say nothing.
    package static let size = 12

    /// Stamps a value for a key.
    package static func stamp(_ value: inout [UInt8], write: Int, key: [UInt8]) {
        guard value.count >= size else { return }
        for index in 0..<4 { value[index] = UInt8(truncatingIfNeeded: write >> (8 * index)) }
        let hash = hash(of: value.span, key: key.span)
        for index in 0..<8 { value[4 + index] = UInt8(truncatingIfNeeded: hash >> (8 * index)) }
    }

    package static func check(_ value: Span<UInt8>, key: Span<UInt8>, _ what: String) throws {
        guard value.count >= size else { return }
        var stored: UInt64 = 0
        for index in 0..<8 { stored |= UInt64(value[4 + index]) << (8 * UInt64(index)) }
        guard stored == hash(of: value, key: key) else {
            throw SimulationFailure(
                .wrongRead,
                "\(what): a value is not whole, or not of its key; it is \(text(value))"
            )
        }
    }

    /// Which write a value says it is of.
    static func text(_ value: Span<UInt8>) -> String {
        guard value.count >= size else { return "\(value.count) bytes" }
        let write = (0..<4).reduce(0) { $0 | Int(value[$1]) << (8 * $1) }
        return "\(value.count) bytes of write \(write)"
    }

    static func text(_ value: [UInt8]) -> String {
        let span = value.span
        return text(span)
    }

    private static func hash(of value: Span<UInt8>, key: Span<UInt8>) -> UInt64 {
        let seed = key.withUnsafeBytes { Checksum.xxh3($0) }
        return value.withUnsafeBytes { bytes in
            let head = Checksum.xxh3(UnsafeRawBufferPointer(rebasing: bytes[..<4]), seed: seed)
            return Checksum.xxh3(UnsafeRawBufferPointer(rebasing: bytes[size...]), seed: head)
        }
    }
}

extension Span where Element == UInt8 {
    package func equals(_ bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        return withUnsafeBytes { left in
            bytes.withUnsafeBytes { right in left.elementsEqual(right) }
        }
    }
}
