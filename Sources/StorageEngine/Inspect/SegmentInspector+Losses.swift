// What of a segment cannot be read.

extension SegmentInspector {
    /// What of a segment's entries cannot be read.
    package struct Losses: Sendable {
        /// The keys of the data blocks that are damaged; blocks side by side are one range.
        package var keys: [KeyRange] = []
        /// Whether the range tombstones are damaged.
        package var losesRanges = false
        /// Versions, and pieces of range tombstones, that can be read.
        package var readableCount: UInt64 = 0
        package var errors: [EngineError] = []

        private static let errorsMax = 1000

        /// Counts the entries of a partition's blocks, which come behind a separator.
        fileprivate mutating func count(
            _ index: SegmentIndex,
            behind separator: [UInt8],
            _ count: (BlockHandle) throws(EngineError) -> UInt64
        ) throws(EngineError) {
            var last = separator
            for number in 0..<index.count {
                let upper = Array(index.key(number))
                do throws(EngineError) {
                    readableCount += try count(index.handle(number))
                } catch {
                    guard !error.isOfSystem else { throw error }
                    note(error, from: last, to: upper)
                }
                last = upper
            }
        }

        /// Notes what lies behind one separator, up to another, which belongs to it.
        fileprivate mutating func note(_ error: EngineError, from lower: [UInt8], to upper: [UInt8])
        {
            if errors.count < Self.errorsMax { errors.append(error) }
            let isNext = keys.last?.upper == lower + [0] || keys.count == Self.errorsMax
            let start = isNext ? keys.popLast()?.lower : nil
            keys.append(KeyRange(from: start ?? lower, to: upper + [0]))
        }
    }

    /// Reads all entries, and tells what cannot be read.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when there is no directory, so that nothing
    ///   can be read; `io`.
    package func losses() throws(EngineError) -> Losses {
        let directory = try directory()
        var losses = Losses()
        var last: [UInt8] = []
        for number in 0..<directory.count {
            do throws(EngineError) {
                try losses.count(index(directory[number]), behind: last, countEntries)
            } catch {
                guard !error.isOfSystem else { throw error }
                losses.note(error, from: last, to: Array(directory.key(number)))
            }
            last = Array(directory.key(number))
        }
        do throws(EngineError) {
            losses.readableCount += try readRanges().map { UInt64($0.fragments.count) } ?? 0
        } catch {
            guard !error.isOfSystem else { throw error }
            losses.errors.append(error)
            losses.losesRanges = true
        }
        return losses
    }

    /// The entries of a data block, which must be in order.
    private func countEntries(in block: BlockHandle) throws(EngineError) -> UInt64 {
        guard let data = DataBlock(owningEntries: try readPayload(block, .data)) else {
            throw corrupt("malformed data block", at: block.offset)
        }
        var cursor = DataBlockCursor()
        cursor.open(data)
        cursor.seekToFirst()
        var count: UInt64 = 0
        while cursor.isOnEntry {
            count += 1
            cursor.next()
        }
        guard !cursor.isMalformed else { throw corrupt("malformed data block", at: block.offset) }
        return count
    }
}
