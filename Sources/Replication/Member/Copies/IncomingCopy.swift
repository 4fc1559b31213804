internal import StorageEngine

/// A copy of the leader's state that comes in parts, in the directory where it will be the store.
///
/// Thread safety: belongs to the jobs of the store; ``restore()`` to whoever opens the member.
final class IncomingCopy: @unchecked Sendable {
    private let directory: StoreDirectory
    private let name: String
    private var offer: CopyOffer?
    private var next: UInt64 = 0
    private var target: StoreDirectory?
    /// The contents, as far as they have come.
    private var contents: [UInt8] = []
    /// The files, once the contents have come, and where each begins in the stream.
    private var entries: [CopyFormat.Entry] = []
    private var starts: [UInt64] = []
    private var hasContents = false
    /// The file that is being written.
    private var current: (index: Int, file: StoreFile)?

    init(directory: StoreDirectory, number: UInt64) {
        self.directory = directory
        name = MemberDirectory.store(number)
    }

    // MARK: Resuming

    /// What an earlier opening has received; `nil` when that is nothing.
    ///
    /// - Throws: ``EngineError`` with code `io`.
    func restore() throws(EngineError) -> PartialCopy? {
        guard try directory.list().unknown.contains(name) else { return nil }
        let target = try directory.subdirectory(name)
        do throws(EngineError) {
            guard let partial = try restore(in: target) else { return nil }
            (offer, next, self.target) = (partial.offer, partial.next, target)
            return partial
        } catch {
            guard error.code == .corruption else { throw error }
            return nil
        }
    }

    private func restore(in target: StoreDirectory) throws(EngineError) -> PartialCopy? {
        guard let file = try target.openIfPresent(.copy, for: .read) else { return nil }
        let size = try file.size()
        guard size <= 2 * CopyFormat.contentsSizeMax else { return nil }
        let (offer, contents) = try CopyFormat.decodeOffer(file.read(count: Int(size), at: 0))
        try takeContents(contents, of: offer)
        var received = UInt64(contents.count)
        for entry in entries {
            let file = try target.openIfPresent(entry.name, for: .read)
            let size = min(try file?.size() ?? 0, entry.size)
            received += size
            if size < entry.size { break }
        }
        let isWhole = received == streamSize
        let next = isWhole ? offer.partCount : received / CopyFormat.partSize
        return PartialCopy(offer: offer, next: next)
    }

    private var streamSize: UInt64 {
        UInt64(contents.count) + entries.reduce(0) { $0 + $1.size }
    }

    private func takeContents(
        _ bytes: [UInt8],
        of offer: CopyOffer
    ) throws(EngineError) {
        entries = try CopyFormat.decode(bytes)
        contents = bytes
        starts = []
        var end = UInt64(bytes.count)
        for entry in entries {
            starts.append(end)
            end += entry.size
        }
        guard CopyFormat.partCount(of: end) == offer.partCount else {
            throw CopyFormat.corrupt("\(end) bytes in \(offer.partCount) parts")
        }
        hasContents = true
    }

    // MARK: Taking parts

    /// Takes the next part of a copy; the first one of another copy begins that.
    ///
    /// - Throws: ``EngineError`` with code `corruption` when the copy is not what it said, `io` or
    ///   `noSpace`: the same part may then be taken again.
    func take(
        _ bytes: [UInt8],
        index: UInt64,
        of offer: CopyOffer
    ) throws(EngineError) {
        if self.offer != offer {
            guard index == 0 else { throw CopyFormat.corrupt("its beginning is missing") }
            discard()
            try directory.removeTree(name)
            target = try directory.subdirectory(name)
            self.offer = offer
        }
        guard index == next, let target else { return }
        let isLast = index + 1 == offer.partCount
        guard UInt64(bytes.count) <= CopyFormat.partSize,
            isLast || UInt64(bytes.count) == CopyFormat.partSize
        else { throw CopyFormat.corrupt("a part of \(bytes.count) bytes") }
        let start = index * CopyFormat.partSize
        if !hasContents { try takeContents(bytes, of: offer, in: target) }
        let end = start + UInt64(bytes.count)
        let taken = Int(min(max(UInt64(contents.count), start), end) - start)
        try write(Array(bytes[taken...]), at: start + UInt64(taken), in: target)
        guard !isLast || hasContents && end == streamSize else {
            throw CopyFormat.corrupt("it ends too early")
        }
        next += 1
    }

    /// Takes what of a part belongs to the contents.
    private func takeContents(
        _ bytes: [UInt8],
        of offer: CopyOffer,
        in target: StoreDirectory
    ) throws(EngineError) {
        let joined = contents + bytes
        let size = Int(try CopyFormat.contentsSize(joined))
        guard joined.count >= size else {
            contents = joined
            return
        }
        let whole = Array(joined[..<size])
        try target.durableReplace(.copy, contents: CopyFormat.encode(offer, contents: whole))
        try takeContents(whole, of: offer)
    }

    private func write(
        _ bytes: [UInt8],
        at offset: UInt64,
        in target: StoreDirectory
    ) throws(EngineError) {
        var done = 0
        while done < bytes.count {
            let place = offset + UInt64(done)
            guard let index = starts.lastIndex(where: { $0 <= place }) else {
                throw CopyFormat.corrupt("bytes behind the last file")
            }
            let (entry, start) = (entries[index], starts[index])
            let left = start + entry.size - min(place, start + entry.size)
            let count = Int(min(UInt64(bytes.count - done), left))
            guard count > 0 else { throw CopyFormat.corrupt("bytes behind the last file") }
            let file = try file(index, entry.name, in: target)
            do throws(WriteFailure) {
                try file.writeFully(Array(bytes[done..<done + count]), at: place - start)
            } catch {
                throw error.error
            }
            done += count
            if place + UInt64(count) == start + entry.size { try file.dataSync() }
        }
    }

    private func file(
        _ index: Int,
        _ name: FileName,
        in target: StoreDirectory
    ) throws(EngineError) -> StoreFile {
        if let current, current.index == index { return current.file }
        let known = try target.openIfPresent(name, for: .readWrite)
        let opened = if let known { known } else { try target.durableCreate(name, contents: []) }
        current = (index, opened)
        return opened
    }

    // MARK: The end

    /// Checks a copy that has come whole, as a store of a history; durable when this returns. It is
    /// a copy still, until ``settle()``.
    ///
    /// - Parameters:
    ///   - offer: What was offered.
    ///   - history: Of which it must be.
    ///   - isOpen: Whether to go on, from one file to the next.
    /// - Returns: The member id in the store's mark.
    /// - Throws: ``EngineError`` with code `corruption` when it is not what it said, `wrongStore`;
    ///   `io`, `noSpace` or `closed`: it may be whole the next time.
    func finish(
        _ offer: CopyOffer,
        history: UniqueID,
        isOpen: () -> Bool = { true }
    ) throws(EngineError) -> UniqueID {
        guard self.offer == offer, hasContents, let target else {
            throw CopyFormat.corrupt("parts are missing")
        }
        current = nil
        for entry in entries {
            guard isOpen() else { throw .closed }
            guard let file = try target.openIfPresent(entry.name, for: .readWrite),
                try file.size() == entry.size, try file.digest(entry.size) == entry.checksum
            else {
                throw .corruption(
                    "checking a copy: the file is not what was announced",
                    file: entry.name.description,
                    offset: 0
                )
            }
            try sync(file, entry.name, in: target)
        }
        let mark = try StoreMark(in: target)
        guard mark.historyID == history else {
            throw EngineError(.wrongStore, "adopting a copy: it has history \(mark.historyID)")
        }
        return mark.memberID
    }

    /// Syncs a file. What could not be written may be gone from the system's memory as well,
    /// whatever a later sync says: that file comes again.
    private func sync(
        _ file: StoreFile,
        _ name: FileName,
        in target: StoreDirectory
    ) throws(EngineError) {
        do throws(EngineError) {
            try file.dataSync()
        } catch {
            do throws(EngineError) { try target.durableRemove([name]) } catch { discard() }
            throw error
        }
    }

    /// Makes the directory a store, and no copy any more: once MEMBER names it, or when changes in
    /// it are part of the store that MEMBER names.
    ///
    /// - Throws: ``EngineError`` with code `io` or `noSpace`.
    func settle() throws(EngineError) { try target?.durableRemove([.copy]) }

    /// The same for the store that MEMBER names, which a crash may have left undone.
    ///
    /// - Throws: ``EngineError`` with code `io` or `noSpace`.
    static func settle(_ number: UInt64, in directory: StoreDirectory) throws(EngineError) {
        let name = MemberDirectory.store(number)
        guard try directory.list().unknown.contains(name) else { return }
        let place = try directory.subdirectory(name)
        if try place.list().known.contains(.copy) { try place.durableRemove([.copy]) }
    }

    /// Keeps the log files of the store that the copy replaces: they have records that will be in
    /// no history.
    ///
    /// - Throws: ``EngineError`` with code `io` or `noSpace`.
    func saveLog(of old: String) throws(EngineError) {
        guard let target else { return }
        let source = try directory.subdirectory(old)
        for name in try source.list().known {
            guard case .log = name else { continue }
            let file = try source.open(name, for: .read)
            _ = try target.saveToQuarantine(0..<file.size(), of: file)
        }
    }

    /// Forgets the copy: the next one begins anew.
    func discard() {
        (offer, next, target, current) = (nil, 0, nil, nil)
        (contents, entries, starts, hasContents) = ([], [], [], false)
        // What is left is removed when the next copy begins.
        do throws(EngineError) { try directory.removeTree(name) } catch {}
    }
}
