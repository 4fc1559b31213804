@testable import StorageEngine

/// The header of a frame, somewhere in a file.
enum FrameHeaderDecoder: FuzzedDecoder {
    static let name = "frame"
    private static let offset: UInt64 = 1 << 20
    private static let seed: UInt64 = 7
    private static let base: UInt64 = 100

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = input.copied
        if bytes.count > 4, Int(bytes[4]) <= bytes.count, bytes[4] > 4 {
            let size = Int(bytes[4])
            let hash = bytes.hash(4..<size, seed: seed &+ offset)
            bytes.store(UInt32(truncatingIfNeeded: hash), at: 0)
        }
        bytes.withUnsafeBytes { bytes in
            var size = 0
            let decoded = FrameHeader(
                decoding: bytes,
                at: offset,
                seed: seed,
                base: base,
                headerSize: &size
            )
            guard let header = decoded else { return }
            precondition(header.storedSize <= FrameHeader.payloadSizeMax)
            precondition(header.syncedThrough <= offset)
            var target = [UInt8](repeating: 0, count: FrameHeader.encodedSizeMax)
            target.withUnsafeMutableBytes { target in
                guard let start = target.baseAddress else { return }
                let again = header.encode(to: start, at: offset, seed: seed, base: base)
                precondition(again == size, "a header encodes to its own bytes")
                let encoded = UnsafeRawBufferPointer(target)[in: 0, size]
                precondition(encoded.equals(bytes[in: 0, size]))
            }
        }
    }
}

/// The head of a record, and its operations behind it.
enum RecordDecoder: FuzzedDecoder {
    static let name = "record"

    static func check(_ input: UnsafeRawBufferPointer) {
        var reader = ByteReader(input)
        var previous: (sequence: UInt64, stamp: UInt64) = (10, 1 << 40)
        while let (head, size) = head(&reader, previous) {
            precondition(head.sequence > previous.sequence)
            checkEncoding(head, size, previous)
            guard let operations = reader.bytes(size) else { return }
            _ = LogHash.next(1, head, digest: LogHash.digest(operations))
            OperationsDecoder.check(operations)
            previous = (head.sequence, head.stamp)
        }
    }

    private static func head(
        _ reader: inout ByteReader,
        _ previous: (sequence: UInt64, stamp: UInt64)
    ) -> (RecordHead, Int)? {
        var size = 0
        do throws(DecodingFailure) {
            let head = try RecordHead(
                &reader,
                previousSequence: previous.sequence,
                previousStamp: previous.stamp,
                operationsSize: &size
            )
            return (head, size)
        } catch {
            return nil
        }
    }

    private static func checkEncoding(
        _ head: RecordHead,
        _ size: Int,
        _ previous: (sequence: UInt64, stamp: UInt64)
    ) {
        var target = [UInt8](repeating: 0, count: RecordHead.encodedSizeMax)
        let count = target.withUnsafeMutableBytes { target in
            target.baseAddress.map {
                head.encode(to: $0, previousStamp: previous.stamp, operationsSize: size)
            }
        }
        target.withUnsafeBytes { bytes in
            var reader = ByteReader(bytes)
            let again = Self.head(&reader, previous)
            precondition(again?.0 == head && again?.1 == size, "a head decodes to itself")
            precondition(reader.offset == count)
        }
    }
}

/// The operations of a record.
enum OperationsDecoder: FuzzedDecoder {
    static let name = "operations"

    static func check(_ input: UnsafeRawBufferPointer) {
        var reader = OperationReader(input)
        var encoded = ByteBuffer()
        do throws(DecodingFailure) {
            while let operation = try reader.next() {
                let start = encoded.count
                if operation.kind == .rangeDelete {
                    encoded.append(rangeDelete: KeyRange(operation))
                } else {
                    encoded.append(operation.kind, key: operation.key, value: operation.value)
                }
                precondition(
                    encoded.bytes[in: start, encoded.count - start]
                        .equals(input[in: start, reader.offset - start]),
                    "an operation encodes to its own bytes"
                )
            }
        } catch {
            return
        }
        replay(input)
    }

    /// As recovery does: keys that occur twice are refused.
    private static func replay(_ operations: UnsafeRawBufferPointer) {
        let index = MemoryIndex()
        let retention = MemoryIndex.Retention(visible: 0, registered: [])
        _ = accepted { () throws(DecodingFailure) in
            try index.insert(operations, sequence: 1, retention: retention)
        }
    }
}

/// A whole log file.
enum LogFileDecoder: FuzzedDecoder {
    static let name = "log"

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = FramedFile.file(input)
        let decoded = bytes.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in
                try LogFileHeader(decoding: bytes[in: 0, LogFormat.headerSize], file: "log")
            }
        }
        guard let header = decoded else { return }
        let again = header.encoded()
        let decodedAgain = accepted { () throws(EngineError) in
            try LogFileHeader(decoding: again.bytes, file: "log")
        }
        precondition(decodedAgain == header, "a header decodes to itself")
        FramedFile.resealFrames(&bytes, seed: header.frames.seed)
        read(bytes, header.frames)
    }

    private static func read(_ bytes: [UInt8], _ stream: FrameStream) {
        let file = MemoryFile(bytes, name: "log").opened
        let reader = LogReader(file: file, frames: stream, limit: UInt64(bytes.count))
        var last = reader.lastSequence
        _ = accepted { () throws(EngineError) in
            while try reader.next({ head, operations throws(EngineError) in
                precondition(head.sequence > last, "sequences ascend")
                last = head.sequence
                OperationsDecoder.check(operations)
            }) {
                precondition(reader.lastSequence == last)
                precondition(reader.syncedThrough <= UInt64(bytes.count))
            }
            precondition(reader.stop != nil)
            precondition(reader.offset <= UInt64(bytes.count))
            if let end = try reader.lastNonZero() { _ = try reader.firstProofOfMore(through: end) }
        }
    }
}
