/// Writes the unproven records of a log's last file into a new file, sealed and synced.
struct TailRewriter {
    let directory: StoreDirectory
    let mark: StoreMark
    let tail: LogRecovery.Tail

    /// The proven end of the tail's file, once reading has reached it.
    private struct Progress: ~Copyable {
        var proven: LogEnd?
        var buffer = LogBuffer()
        var hash: UInt64 = 0
        var count: UInt64 = 0
    }

    /// Returns where the log ends now: in the tail's own file when it holds no unproven record.
    func run(_ rewritten: inout UInt64) throws(EngineError) -> LogEnd {
        var progress = Progress()
        let reader = LogReader(
            file: tail.file.file,
            frames: tail.file.header.frames,
            limit: tail.end.length,
            from: tail.restart == UInt64(LogFormat.headerSize) ? nil : tail.restart
        )
        try skipProven(reader, &progress)
        guard let proven = progress.proven else {
            throw .corruption(
                "recovering the log: no frame ends at \(tail.proven), which was synced",
                file: tail.file.file.name,
                offset: tail.proven
            )
        }
        guard tail.end.lastSequence > proven.lastSequence else { return proven }
        let end = try write(reader, proven: proven, &progress)
        rewritten += progress.count
        return end
    }

    private func skipProven(
        _ reader: LogReader,
        _ progress: inout Progress
    ) throws(EngineError) {
        while reader.offset < tail.proven {
            guard try reader.next({ _, _ in }) else { return }
        }
        guard reader.offset == tail.proven else { return }
        progress.proven = LogEnd(
            fileNumber: tail.file.header.fileNumber,
            length: tail.proven,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
    }

    private func write(
        _ reader: LogReader,
        proven: LogEnd,
        _ progress: inout Progress
    ) throws(EngineError) -> LogEnd {
        let old = tail.file.header
        let header = LogFileHeader(
            identity: LogFileIdentity(
                historyID: old.historyID,
                memberID: mark.memberID,
                fileNumber: old.fileNumber + 1
            ),
            baseStamp: reader.lastStamp,
            predecessor: proven,
            startsEpoch: false,
            epochs: old.epochs
        )
        var encoder = FrameEncoder()
        var place = FrameEncoder.Place(
            stream: header.frames,
            offset: UInt64(LogFormat.headerSize),
            syncedThrough: UInt64(LogFormat.headerSize)
        )
        var restarts = RestartIndex()
        progress.hash = proven.logHash
        let name = FileName.log(header.fileNumber)
        try directory.durableReplace(name) { file throws(EngineError) in
            try file.write(header.encoded(), at: 0)
            var hasMore = true
            while hasMore {
                hasMore = try readFrame(reader, &progress)
                let start = place.offset
                encoder.encode(progress.buffer, at: &place)
                progress.buffer.removeAll()
                for point in encoder.restarts { restarts.append(point) }
                if !hasMore {
                    encoder.encodeSeal(
                        restarts,
                        lastSequence: reader.lastSequence,
                        logHash: reader.logHash,
                        at: &place
                    )
                }
                try file.write(encoder.output, at: start)
                encoder.clearOutput()
            }
        }
        return LogEnd(
            fileNumber: header.fileNumber,
            length: place.offset,
            lastSequence: reader.lastSequence,
            logHash: reader.logHash
        )
    }

    private func readFrame(
        _ reader: LogReader,
        _ progress: inout Progress
    ) throws(EngineError) -> Bool {
        var buffer = LogBuffer()
        var hash = progress.hash
        var count: UInt64 = 0
        let isGood = try reader.next { head, operations throws(EngineError) in
            let large =
                operations.count > LogFormat.largeSize ? LargeBlock(compressing: operations) : nil
            let next = LogHash.next(hash, head, digest: LogHash.digest(operations))
            buffer.append(
                head,
                hashBefore: hash,
                hash: next,
                operations: operations,
                large: large
            )
            hash = next
            count += 1
        }
        progress.buffer = buffer
        progress.hash = hash
        progress.count += count
        return isGood
    }
}
