/// Reads a manifest, and believes nothing unverified.
///
/// Thread safety: none is needed; it keeps nothing.
package enum ManifestReader {
    /// Reads the state that a manifest ends with. Nothing is changed.
    ///
    /// - Parameters:
    ///   - directory: The store's directory.
    ///   - number: The file's number, which STORE names.
    ///   - historyID: The history that STORE names.
    /// - Returns: The state after the last good frame. A frame behind it may be torn: its commit
    ///   never returned.
    /// - Throws: ``EngineError`` with code `corruption` for a file that is missing or damaged, with
    ///   code `unsupportedFormat` for one of another version.
    package static func read(
        directory: StoreDirectory,
        number: UInt64,
        historyID: UniqueID
    ) throws(EngineError) -> ManifestState {
        let name = FileName.manifest(number)
        guard let file = try directory.openIfPresent(name, for: .read) else {
            throw .corruption(
                "opening the manifest: the file that the store's mark names is missing",
                file: name.description,
                offset: 0
            )
        }
        let bytes = try file.read(count: ManifestFormat.headerSize, at: 0)
        let header = try bytes.span.withUnsafeBytes { bytes throws(EngineError) in
            try ManifestHeader(decoding: bytes, file: file.name)
        }
        guard header.historyID == historyID, header.fileNumber == number else {
            throw .corruption(
                "opening the manifest: the header is of file number \(header.fileNumber), "
                    + "history \(header.historyID)",
                file: file.name,
                offset: 32
            )
        }
        let reader = LogReader(file: file, frames: header.frames, limit: try file.size())
        var state = ManifestState()
        while try readFrame(reader, file, &state) {}
        try checkEnd(reader, header, file)
        return state
    }

    /// Applies the edit of the next frame; `false` when there is no good frame.
    private static func readFrame(
        _ reader: LogReader,
        _ file: StoreFile,
        _ state: inout ManifestState
    ) throws(EngineError) -> Bool {
        let offset = reader.offset
        var number = reader.lastSequence
        return try reader.next { head, operations throws(EngineError) in
            number += 1
            guard head.kind == .data, head.sequence == number else {
                throw .corruption(
                    "reading the manifest: a record of sequence \(head.sequence) "
                        + "instead of edit \(number)",
                    file: file.name,
                    offset: offset
                )
            }
            do throws(DecodingFailure) {
                try state.applyInPlace(VersionEdit(decoding: operations))
            } catch {
                throw Self.error(error, number, file, at: offset)
            }
        }
    }

    private static func error(
        _ failure: DecodingFailure,
        _ number: UInt64,
        _ file: StoreFile,
        at offset: UInt64
    ) -> EngineError {
        let code: EngineError.Code =
            switch failure {
            case .malformed: .corruption
            case .unsupported: .unsupportedFormat
            }
        let message = "reading the manifest, edit \(number): \(failure.reason)"
        return EngineError(code, message, file: file.name, offset: offset)
    }

    /// Tells the end of the file and a torn tail, which are fine, from corruption.
    private static func checkEnd(
        _ reader: LogReader,
        _ header: ManifestHeader,
        _ file: StoreFile
    ) throws(EngineError) {
        let reason = reader.stop?.rawValue ?? ""
        guard reader.offset >= header.snapshotEnd else {
            throw .corruption(
                "opening the manifest: \(reason), but \(header.snapshotEnd) bytes were synced",
                file: file.name,
                offset: reader.offset
            )
        }
        guard let last = try reader.lastNonZero() else { return }
        guard reader.stop != .sealed else {
            throw .corruption(
                "opening the manifest: bytes behind the seal",
                file: file.name,
                offset: last
            )
        }
        if let proof = try reader.firstProofOfMore(through: last) {
            throw .corruption(
                "opening the manifest: \(reason), but a frame at \(proof.offset) proves that it "
                    + "was synced; edits after number \(reader.lastSequence) are lost",
                file: file.name,
                offset: reader.offset
            )
        }
    }
}
