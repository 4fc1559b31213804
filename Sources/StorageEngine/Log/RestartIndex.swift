// Where the reading of a log file can start: its restart frames, which decode without those before
// them. A finished file carries the index in its seal, so that a reader who wants to start in the
// middle reads the seal and at most one restart distance, not the file.
//
//   payload of a seal := (offsetDelta:varint sequenceDelta:varint)*
//
// offsetDelta    from the point before, in units of 8 bytes; from 0 for the first.
// sequenceDelta  of the last sequence before the frame, from the point before; from the last
//                sequence before the file for the first.
//
// (1) Points ascend, strictly in their offsets. A file without a point has an empty payload.
// (2) There are at most 2,048 points; where there would be more, every second one is left out.
// (3) The index only saves time: a reader checks where it starts as it checks any frame.

/// The restart frames of one log file.
package struct RestartIndex: Hashable, Sendable {
    /// A restart frame.
    package struct Point: Hashable, Sendable {
        package let offset: UInt64
        /// The last sequence before the frame.
        package let previousSequence: UInt64

        package init(offset: UInt64, previousSequence: UInt64) {
            self.offset = offset
            self.previousSequence = previousSequence
        }
    }

    static let countMax = 2048
    /// The largest encoded index.
    static let encodedSizeMax = countMax * 2 * Varint.sizeMax

    package private(set) var points: [Point] = []

    package init() {}

    /// Takes in the next restart frame of the file.
    package mutating func append(_ point: Point) {
        precondition(points.last.map { $0.offset < point.offset } ?? true)
        if points.count == Self.countMax {
            points = points.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
        }
        points.append(point)
    }

    /// The last restart frame from which on everything behind a sequence is read; `nil` when that
    /// is the beginning of the file.
    package func start(after sequence: UInt64) -> Point? {
        points.last { $0.previousSequence <= sequence }
    }

    func encode(into buffer: inout ByteBuffer, base: UInt64) {
        var (offset, sequence) = (UInt64(0), base)
        for point in points {
            buffer.append(varint: (point.offset - offset) / UInt64(LogFormat.alignment))
            buffer.append(varint: point.previousSequence - sequence)
            (offset, sequence) = (point.offset, point.previousSequence)
        }
    }

    /// Decodes an index; `nil` for bytes that are none.
    package init?(decoding bytes: UnsafeRawBufferPointer, base: UInt64) {
        var reader = ByteReader(bytes)
        var (offset, sequence) = (UInt64(0), base)
        while reader.remaining > 0 {
            guard points.count < Self.countMax, let units = reader.varint(), units > 0,
                units <= UInt64(Int64.max) / 16, let delta = reader.varint()
            else { return nil }
            let (next, overflow) = sequence.addingReportingOverflow(delta)
            guard !overflow, offset <= UInt64(Int64.max) / 2 else { return nil }
            offset += units * UInt64(LogFormat.alignment)
            sequence = next
            points.append(Point(offset: offset, previousSequence: sequence))
        }
    }
}
