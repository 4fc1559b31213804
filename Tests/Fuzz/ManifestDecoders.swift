@testable import StorageEngine

/// An edit of the manifest.
enum EditDecoder: FuzzedDecoder {
    static let name = "edit"

    static func check(_ input: UnsafeRawBufferPointer) {
        let decoded = accepted { () throws(DecodingFailure) in try VersionEdit(decoding: input) }
        guard let edit = decoded else { return }
        var encoded = ByteBuffer()
        edit.encode(into: &encoded)
        let again = accepted { () throws(DecodingFailure) in
            try VersionEdit(decoding: encoded.bytes)
        }
        precondition(again == edit, "an edit decodes to itself")
        checkState(edit)
    }

    /// A state takes the edit in, or stays; one that took it in can be written and read.
    private static func checkState(_ edit: VersionEdit) {
        var state = ManifestState()
        let before = state
        let fits: Void? = accepted { () throws(DecodingFailure) in try state.apply(edit) }
        guard fits != nil else {
            precondition(state == before, "a refused edit changes nothing")
            return
        }
        var again = ManifestState()
        for part in state.snapshot.split(sizeMax: 1000) {
            let fits: Void? = accepted { () throws(DecodingFailure) in try again.apply(part) }
            precondition(fits != nil, "a snapshot fits")
        }
        precondition(again == state, "a snapshot makes the same state")
    }
}

/// A whole manifest.
enum ManifestDecoder: FuzzedDecoder {
    static let name = "manifest"

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = FramedFile.file(input)
        let decoded = bytes.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in
                try ManifestHeader(decoding: bytes[in: 0, LogFormat.headerSize], file: "manifest")
            }
        }
        guard let header = decoded else { return }
        FramedFile.resealFrames(&bytes, seed: header.frames.seed)
        let name = FileName.manifest(header.fileNumber)
        _ = accepted { () throws(EngineError) in
            let directory = try StoreDirectory.open(
                path: ".",
                in: MemoryFile(bytes, name: name.description)
            )
            let state = try ManifestReader.read(
                directory: directory,
                number: header.fileNumber,
                historyID: header.historyID
            )
            precondition(state.segmentCount == state.levels.joined().count)
        }
    }
}

/// The file STORE.
enum StoreMarkDecoder: FuzzedDecoder {
    static let name = "mark"

    static func check(_ input: UnsafeRawBufferPointer) {
        var bytes = input.copied
        if bytes.count >= StoreMark.encodedSize {
            bytes.store(bytes.hash(0..<StoreMark.encodedSize - 8), at: StoreMark.encodedSize - 8)
        }
        let decoded = bytes.withUnsafeBytes { bytes in
            accepted { () throws(EngineError) in try StoreMark(decoding: bytes) }
        }
        guard let mark = decoded else { return }
        let encoded = mark.encoded()
        // All but the features that may be ignored, and the checksum over them.
        bytes.store(UInt64(0), at: 24)
        bytes.store(bytes.hash(0..<StoreMark.encodedSize - 8), at: StoreMark.encodedSize - 8)
        bytes.withUnsafeBytes { precondition(encoded.bytes.equals($0), "a mark encodes to itself") }
    }
}
