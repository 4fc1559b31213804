/// Which file of which history and directory a log file is.
package struct LogFileIdentity: Hashable, Sendable {
    package let historyID: UniqueID
    package let memberID: UniqueID
    package let fileNumber: UInt64

    package init(historyID: UniqueID, memberID: UniqueID, fileNumber: UInt64) {
        self.historyID = historyID
        self.memberID = memberID
        self.fileNumber = fileNumber
    }
}

/// The header of a log file; the bytes are specified in `LogFormat.swift`.
package struct LogFileHeader: Hashable, Sendable {
    package let identity: LogFileIdentity
    package let epoch: Epoch
    package let baseStamp: UInt64
    package let predecessor: LogEnd
    /// Whether the file is the first of its epoch.
    package let startsEpoch: Bool
    /// The newest entries of the epoch table, the newest last; its epoch is this file's.
    package let epochs: [EpochEntry]

    package init(
        identity: LogFileIdentity,
        baseStamp: UInt64,
        predecessor: LogEnd,
        startsEpoch: Bool,
        epochs: [EpochEntry]
    ) {
        guard let newest = epochs.last else { preconditionFailure("a log file has an epoch") }
        self.identity = identity
        self.baseStamp = baseStamp
        self.predecessor = predecessor
        self.startsEpoch = startsEpoch
        self.epochs = epochs.suffix(LogFormat.epochCountMax)
        epoch = newest.epoch
    }

    package var historyID: UniqueID { identity.historyID }
    package var memberID: UniqueID { identity.memberID }
    package var fileNumber: UInt64 { identity.fileNumber }

    /// No record of the file is below this sequence.
    package var firstSequence: UInt64 { predecessor.lastSequence &+ 1 }

    /// What the frames of this file depend on.
    package var frames: FrameStream {
        FrameStream(
            seed: LogFormat.seed(historyID: historyID, fileNumber: fileNumber),
            baseSequence: predecessor.lastSequence,
            initialHash: startsEpoch
                ? LogHash.begin(epoch, after: predecessor.logHash) : predecessor.logHash,
            baseStamp: baseStamp
        )
    }

    package func encoded() -> ByteBuffer {
        var buffer = LogFormat.preamble.begin()
        buffer.append(historyID)
        buffer.append(memberID)
        buffer.append(fileNumber)
        buffer.append(epoch.number)
        buffer.append(epoch.starter)
        buffer.append(firstSequence)
        buffer.append(baseStamp)
        predecessor.encode(into: &buffer)
        buffer.append(startsEpoch ? LogFormat.startsEpoch : 0)
        buffer.append(UInt32(epochs.count))
        for entry in epochs {
            buffer.append(entry.epoch.number)
            buffer.append(entry.epoch.starter)
            buffer.append(entry.lastSequenceBefore)
            buffer.append(entry.logHashBefore)
        }
        LogFormat.preamble.finish(&buffer)
        return buffer
    }

    /// Decodes a header. The bytes come from disk, so every check throws.
    package init(decoding bytes: UnsafeRawBufferPointer, file: String) throws(EngineError) {
        var reader = try LogFormat.preamble.check(bytes, file: file)
        guard let fields = Fields(&reader) else {
            throw LogFormat.preamble.corrupt("impossible contents", file, at: 136)
        }
        guard let newest = fields.epochs.last, newest.epoch == fields.epoch,
            fields.firstSequence == fields.predecessor.lastSequence &+ 1, fields.fileNumber > 0,
            fields.flags & ~LogFormat.startsEpoch == 0
        else { throw LogFormat.preamble.corrupt("contradicting contents", file, at: 72) }
        self.init(
            identity: LogFileIdentity(
                historyID: fields.historyID,
                memberID: fields.memberID,
                fileNumber: fields.fileNumber
            ),
            baseStamp: fields.baseStamp,
            predecessor: fields.predecessor,
            startsEpoch: fields.flags & LogFormat.startsEpoch != 0,
            epochs: fields.epochs
        )
    }

    /// The decoded fields behind the features.
    private struct Fields {
        let historyID, memberID: UniqueID
        let fileNumber: UInt64
        let epoch: Epoch
        let firstSequence, baseStamp: UInt64
        let predecessor: LogEnd
        let flags: UInt32
        var epochs: [EpochEntry] = []

        init?(_ reader: inout ByteReader) {
            guard let history = reader.uniqueID(), let member = reader.uniqueID(),
                let number = reader.uint64(), let epoch = reader.uint64(),
                let starter = reader.uint64(), let first = reader.uint64(),
                let stamp = reader.uint64(), let predecessor = LogEnd(&reader),
                let flags = reader.uint32(), let count = reader.uint32(),
                count <= LogFormat.epochCountMax
            else { return nil }
            (historyID, memberID, fileNumber) = (history, member, number)
            self.epoch = Epoch(number: epoch, starter: starter)
            (firstSequence, baseStamp, self.flags) = (first, stamp, flags)
            self.predecessor = predecessor
            for _ in 0..<count {
                guard let number = reader.uint64(), let starter = reader.uint64(),
                    let sequence = reader.uint64(), let hash = reader.uint64()
                else { return nil }
                epochs.append(
                    EpochEntry(
                        epoch: Epoch(number: number, starter: starter),
                        lastSequenceBefore: sequence,
                        logHashBefore: hash
                    )
                )
            }
        }
    }
}
