import Replication
import StorageEngine

/// All records that were ever made, by anybody: each knows its predecessor, so that a log is one
/// path from the root, and two logs with the same record at one place are equal up to it.
struct RecordTree {
    struct Record {
        /// The record before it; -1 for the first.
        let parent: Int
        /// How many are before it.
        let depth: Int
        let sequence: UInt64
        let epoch: Epoch
        let logHash: UInt64
        let key: Int
        let size: UInt64
    }

    private(set) var records: [Record] = []

    subscript(index: Int) -> Record { records[index] }

    /// Makes a record behind the end of a log.
    mutating func make(
        after parent: Int,
        _ tail: Tail,
        sequence: UInt64,
        key: Int,
        size: UInt64
    ) -> Int {
        let head = RecordHead(
            sequence: sequence,
            previousSequence: tail.sequence,
            stamp: UInt64(records.count)
        )
        records.append(
            Record(
                parent: parent,
                depth: parent < 0 ? 0 : records[parent].depth + 1,
                sequence: sequence,
                epoch: tail.epoch,
                logHash: LogHash.next(tail.logHash, head, digest: UInt64(records.count)),
                key: key,
                size: size
            )
        )
        return records.count - 1
    }
}
