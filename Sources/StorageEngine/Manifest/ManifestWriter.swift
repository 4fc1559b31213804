/// Makes edits durable: appends them to the manifest, or begins a new one.
///
/// The first edit of a writer, and the first one after a failure, goes into a new file, as part of
/// its snapshot; so does one that finds the file grown too large. The store's mark names the new
/// file once it is synced; then the older ones are removed.
///
/// Thread safety: none; one owner at a time, who also owns the mark's file.
package final class ManifestWriter {
    private let directory: StoreDirectory
    private let markFile: StoreMarkFile
    /// A manifest up to this size is not replaced because of its size.
    private let fileSizeMin: UInt64
    private var encoder = FrameEncoder()
    /// The file to append to, which the store's mark names; `nil` when the next edit makes one.
    private var active: ActiveManifest?

    /// What all edits whose commit returned amount to.
    package private(set) var state: ManifestState

    /// A file of which every byte was written and synced by this writer.
    private struct ActiveManifest {
        let file: StoreFile
        let snapshotEnd: UInt64
        var end: End
    }

    /// Where the next frame goes, and what it follows.
    private struct End {
        let frames: FrameStream
        var length = UInt64(ManifestFormat.headerSize)
        var syncedThrough = UInt64(ManifestFormat.headerSize)
        /// The number of the last edit, and the log hash with it.
        var lastSequence: UInt64
        var logHash: UInt64

        /// The beginning of a file.
        init(_ frames: FrameStream) {
            self.frames = frames
            lastSequence = frames.baseSequence
            logHash = frames.initialHash
        }

        var place: FrameEncoder.Place {
            FrameEncoder.Place(stream: frames, offset: length, syncedThrough: syncedThrough)
        }
    }

    /// Goes on from the state of the manifest that the store's mark names.
    package init(
        directory: StoreDirectory,
        markFile: StoreMarkFile,
        state: ManifestState,
        fileSizeMin: UInt64 = ManifestFormat.fileSizeMin
    ) {
        self.directory = directory
        self.markFile = markFile
        self.state = state
        self.fileSizeMin = fileSizeMin
    }

    // MARK: - Commit

    /// Makes an edit durable, and part of ``state``. The edit must fit the state.
    ///
    /// When this throws, ``state`` is as before, but after a restart the edit may be part of it.
    /// Until a later commit returns, nothing may be removed that the state with the edit, or the
    /// one without it, needs.
    package func commit(_ edit: VersionEdit) throws(EngineError) {
        var next = state
        do throws(DecodingFailure) {
            try next.apply(edit)
        } catch {
            preconditionFailure("an edit does not fit: \(error.reason)")
        }
        var operations = ByteBuffer()
        edit.encode(into: &operations)
        if let file = appendable(operations.count) {
            try append(operations, to: file)
        } else {
            try switchFile(to: next) { _ in }
        }
        state = next
    }

    /// Begins a new file of the state, and makes other changes of the mark along with it: both are
    /// durable when this returns, or neither is.
    package func rewrite(_ change: (inout StoreMark) -> Void) throws(EngineError) {
        try switchFile(to: state, change)
    }

    /// Seals the file: a clean end. A later commit would begin a new one.
    package func close() throws(EngineError) {
        guard let file = active else { return }
        active = nil
        var place = file.end.place
        defer { encoder.clearOutput() }
        encoder.encodeSeal(
            RestartIndex(),
            lastSequence: file.end.lastSequence,
            logHash: file.end.logHash,
            at: &place
        )
        try file.file.write(encoder.output, at: file.end.length)
        try file.file.dataSync()
    }

    // MARK: - Appending

    /// The file that an edit of this size can be appended to.
    private func appendable(_ editSize: Int) -> ActiveManifest? {
        guard let active, editSize <= ManifestFormat.editSizeMax,
            active.end.length <= max(fileSizeMin, ManifestFormat.growthMax * active.snapshotEnd)
        else { return nil }
        return active
    }

    private func append(
        _ operations: borrowing ByteBuffer,
        to file: ActiveManifest
    ) throws(EngineError) {
        // Until it is known how this ends, and for ever when it fails.
        active = nil
        var file = file
        let start = file.end.length
        defer { encoder.clearOutput() }
        encode(operations, at: &file.end)
        try file.file.write(encoder.output, at: start)
        try file.file.dataSync()
        file.end.syncedThrough = file.end.length
        active = file
    }

    /// Appends the frame of the next edit to the encoder's output.
    private func encode(_ operations: borrowing ByteBuffer, at end: inout End) {
        let bytes = operations.bytes
        let head = RecordHead(
            sequence: end.lastSequence + 1,
            previousSequence: end.lastSequence,
            stamp: 0
        )
        let hash = LogHash.next(end.logHash, head, digest: LogHash.digest(bytes))
        var buffer = LogBuffer()
        buffer.append(
            head,
            hashBefore: end.logHash,
            hash: hash,
            operations: bytes,
            large: bytes.count > LogFormat.largeSize ? LargeBlock(compressing: bytes) : nil
        )
        var place = end.place
        encoder.encode(buffer, at: &place)
        end.length = place.offset
        end.lastSequence = head.sequence
        end.logHash = hash
    }

    // MARK: - New files

    /// Makes a file of a state, and makes it the one that counts.
    private func switchFile(
        to next: ManifestState,
        _ change: (inout StoreMark) -> Void
    ) throws(EngineError) {
        active = nil
        let found = try directory.list().manifestNumbers
        let highest = max(found.last ?? 0, markFile.mark.manifest)
        guard highest < .max else {
            throw EngineError(
                .corruption,
                "making a manifest: no file number is left",
                file: FileName.manifest(highest).description
            )
        }
        let made = try makeFile(number: highest + 1, next)
        try markFile.update { mark in
            change(&mark)
            mark.manifest = highest + 1
        }
        active = made
        removeIfPossible(found)
    }

    /// Makes a manifest with nothing but a snapshot, durable with its name when this returns.
    private func makeFile(
        number: UInt64,
        _ state: ManifestState
    ) throws(EngineError) -> ActiveManifest {
        let mark = markFile.mark
        var end = End(ManifestHeader.frames(historyID: mark.historyID, fileNumber: number))
        encoder.restart()
        defer { encoder.clearOutput() }
        let file = try directory.durableCreate(.manifest(number)) { file throws(EngineError) in
            for edit in state.snapshot.split(sizeMax: ManifestFormat.editSizeMax) {
                try self.write(edit, to: file, at: &end)
            }
            let header = ManifestHeader(
                historyID: mark.historyID,
                memberID: mark.memberID,
                fileNumber: number,
                snapshotEnd: end.length
            )
            try file.write(header.encoded(), at: 0)
        }
        end.syncedThrough = end.length
        return ActiveManifest(file: file, snapshotEnd: end.length, end: end)
    }

    private func write(
        _ edit: VersionEdit,
        to file: StoreFile,
        at end: inout End
    ) throws(EngineError) {
        var operations = ByteBuffer()
        edit.encode(into: &operations)
        let start = end.length
        encode(operations, at: &end)
        try file.write(encoder.output, at: start)
        encoder.clearOutput()
    }

    /// Removes manifests that the store's mark names no more. What is left goes with the next ones.
    private func removeIfPossible(_ numbers: [UInt64]) {
        do { try directory.durableRemove(numbers.map(FileName.manifest)) } catch {}
    }
}
