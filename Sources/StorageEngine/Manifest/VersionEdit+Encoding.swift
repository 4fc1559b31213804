// The bytes of a version edit, as specified in `ManifestFormat.swift`.

/// The fields of an edit.
private enum Tag: UInt64 {
    case added = 2
    case removed = 4
    case flushed = 6
    case logStart = 8
    case epoch = 10
    case deltaHorizon = 12
    case nextSegmentNumber = 14
}

extension VersionEdit {
    package func encode(into buffer: inout ByteBuffer) {
        var field = ByteBuffer()
        if let nextSegmentNumber {
            field.append(varint: nextSegmentNumber)
            field.move(to: &buffer, as: .nextSegmentNumber)
        }
        if let flushed {
            field.append(flushed)
            field.move(to: &buffer, as: .flushed)
        }
        if let logStart {
            field.append(logStart)
            field.move(to: &buffer, as: .logStart)
        }
        if let deltaHorizon {
            field.append(varint: deltaHorizon)
            field.move(to: &buffer, as: .deltaHorizon)
        }
        for entry in epochs {
            field.append(entry)
            field.move(to: &buffer, as: .epoch)
        }
        for place in removed {
            field.append(varint: UInt64(place.level))
            field.append(varint: place.number)
            field.move(to: &buffer, as: .removed)
        }
        for segment in added {
            field.append(varint: UInt64(segment.level))
            field.append(segment.info)
            field.move(to: &buffer, as: .added)
        }
    }

    /// Decodes an edit. The bytes may be hostile, and the edit is not checked against any state.
    package init(decoding bytes: UnsafeRawBufferPointer) throws(DecodingFailure) {
        self.init()
        var reader = ByteReader(bytes)
        while reader.remaining > 0 {
            guard let number = reader.varint(), let size = reader.size(max: reader.remaining),
                let bytes = reader.bytes(size)
            else { throw .malformed("field of an edit") }
            guard let tag = Tag(rawValue: number) else {
                if number % 2 == 0 { throw .unsupported("field \(number) of an edit") }
                continue
            }
            var field = ByteReader(bytes)
            guard take(tag, &field), field.remaining == 0 else {
                throw .malformed("field \(number) of an edit")
            }
        }
    }

    /// Decodes one field; `false` when it is malformed, or not the only one of its kind.
    private mutating func take(_ tag: Tag, _ field: inout ByteReader) -> Bool {
        switch tag {
        case .added:
            guard added.count < ManifestFormat.segmentCountMax, let level = field.level(),
                let info = SegmentInfo(&field)
            else { return false }
            added.append(LevelSegment(level: level, info: info))
        case .removed:
            guard removed.count < ManifestFormat.segmentCountMax, let level = field.level(),
                let number = field.varint()
            else { return false }
            removed.append(SegmentPlace(level: level, number: number))
        case .flushed:
            guard flushed == nil, let mark = FlushMark(&field) else { return false }
            flushed = mark
        case .logStart:
            guard logStart == nil, let end = LogEnd(varints: &field) else { return false }
            logStart = end
        case .epoch:
            guard let entry = EpochEntry(&field) else { return false }
            epochs.append(entry)
        case .deltaHorizon:
            guard deltaHorizon == nil, let sequence = field.varint() else { return false }
            deltaHorizon = sequence
        case .nextSegmentNumber:
            guard nextSegmentNumber == nil, let number = field.varint() else { return false }
            nextSegmentNumber = number
        }
        return true
    }
}

extension ByteBuffer {
    /// Appends these bytes to another buffer as a field, and forgets them.
    fileprivate mutating func move(to target: inout ByteBuffer, as tag: Tag) {
        target.append(varint: tag.rawValue)
        target.append(varint: UInt64(count))
        target.append(bytes)
        removeAll()
    }

    fileprivate mutating func append(_ mark: FlushMark) {
        append(varint: mark.epoch.number)
        append(mark.epoch.starter)
        append(varint: mark.sequence)
        append(mark.logHash)
    }

    fileprivate mutating func append(_ end: LogEnd) {
        append(varint: end.fileNumber)
        append(varint: end.length)
        append(varint: end.lastSequence)
        append(end.logHash)
    }

    fileprivate mutating func append(_ entry: EpochEntry) {
        append(varint: entry.epoch.number)
        append(entry.epoch.starter)
        append(varint: entry.lastSequenceBefore)
        append(entry.logHashBefore)
    }

    fileprivate mutating func append(_ info: SegmentInfo) {
        append(varint: info.number)
        append(varint: info.size)
        append(info.checksum)
        append(key: info.smallest)
        append(key: info.largest)
        append(varint: info.minSequence)
        append(varint: info.maxSequence)
        append(varint: info.entryCount)
        append(varint: info.tombstoneCount)
        append(varint: info.rangeTombstoneCount)
        append(varint: info.rawBytes)
        append(varint: info.excludesLargest ? 1 : 0)
        append(varint: info.keyCount)
    }

    private mutating func append(key: [UInt8]) {
        append(varint: UInt64(key.count))
        let target = UnsafeMutableRawBufferPointer(start: reserve(key.count), count: key.count)
        target.copyBytes(from: key)
        advance(by: key.count)
    }
}

extension ByteReader {
    fileprivate mutating func level() -> Int? { size(max: ManifestFormat.levelCount - 1) }

    fileprivate mutating func key() -> [UInt8]? {
        guard let size = size(max: Limits.keySize), let bytes = bytes(size) else { return nil }
        return Array(bytes)
    }
}

extension FlushMark {
    fileprivate init?(_ reader: inout ByteReader) {
        guard let number = reader.varint(), let starter = reader.uint64(),
            let sequence = reader.varint(), let hash = reader.uint64()
        else { return nil }
        let epoch = Epoch(number: number, starter: starter)
        self.init(epoch: epoch, sequence: sequence, logHash: hash)
    }
}

extension LogEnd {
    fileprivate init?(varints reader: inout ByteReader) {
        guard let number = reader.varint(), let length = reader.varint(),
            let sequence = reader.varint(), let hash = reader.uint64()
        else { return nil }
        self.init(fileNumber: number, length: length, lastSequence: sequence, logHash: hash)
    }
}

extension EpochEntry {
    fileprivate init?(_ reader: inout ByteReader) {
        guard let number = reader.varint(), let starter = reader.uint64(),
            let sequence = reader.varint(), let hash = reader.uint64()
        else { return nil }
        let epoch = Epoch(number: number, starter: starter)
        self.init(epoch: epoch, lastSequenceBefore: sequence, logHashBefore: hash)
    }
}

extension SegmentInfo {
    fileprivate init?(_ reader: inout ByteReader) {
        guard let number = reader.varint(), let size = reader.varint(),
            let checksum = reader.uint64(), let smallest = reader.key(),
            let largest = reader.key(), let minSequence = reader.varint(),
            let maxSequence = reader.varint(), let entryCount = reader.varint(),
            let tombstoneCount = reader.varint(), let rangeTombstoneCount = reader.varint(),
            let rawBytes = reader.varint(), let excludesLargest = reader.size(max: 1),
            let keyCount = reader.varint()
        else { return nil }
        self.init(number: number)
        self.size = size
        self.checksum = checksum
        self.smallest = smallest
        self.largest = largest
        self.minSequence = minSequence
        self.maxSequence = maxSequence
        self.entryCount = entryCount
        self.tombstoneCount = tombstoneCount
        self.rangeTombstoneCount = rangeTombstoneCount
        self.rawBytes = rawBytes
        self.excludesLargest = excludesLargest == 1
        self.keyCount = keyCount
    }
}
