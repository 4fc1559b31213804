/// What a store is, as STORE says, or else its other files.
struct StoreIdentity {
    let historyID: UniqueID
    let memberID: UniqueID?
    let mark: StoreMark?
    /// What is wrong with STORE.
    let defects: [StoreDefect]

    /// - Throws: ``EngineError`` with code `notAStore` when no file says what it is, or `io`.
    init(_ directory: StoreDirectory) throws(EngineError) {
        let name = FileName.store.description
        var defects: [StoreDefect] = []
        var mark: StoreMark?
        do throws(EngineError) {
            mark = try StoreInspector.mark(of: directory)
            if mark == nil {
                let message = "reading the store's mark: it is missing"
                defects.append(StoreDefect(.corruption(message, file: name, offset: 0), file: name))
            }
        } catch {
            guard !error.isOfSystem else { throw error }
            defects.append(StoreDefect(error, file: name))
        }
        self.mark = mark
        self.defects = defects
        if let mark {
            historyID = mark.historyID
            memberID = mark.memberID
            return
        }
        guard let found = try Self.guess(directory) else {
            throw EngineError(.notAStore, "there is no store in \(directory.path)")
        }
        historyID = found.historyID
        memberID = found.memberID
    }

    /// What the newest manifest says, else the newest log file, else the newest segment.
    private static func guess(
        _ directory: StoreDirectory
    ) throws(EngineError) -> (historyID: UniqueID, memberID: UniqueID?)? {
        let known = try directory.list().known
        for case .manifest(let number) in known.reversed() {
            if let header = try manifestHeader(number, directory) {
                return (header.historyID, header.memberID)
            }
        }
        for case .log(let number) in known.reversed() {
            if let header = try logHeader(number, directory) {
                return (header.historyID, header.memberID)
            }
        }
        for case .segment(let number) in known.reversed() {
            if let footer = try SegmentSurvey.footer(.segment(number), directory) {
                return (footer.historyID, nil)
            }
        }
        return nil
    }

    private static func manifestHeader(
        _ number: UInt64,
        _ directory: StoreDirectory
    ) throws(EngineError) -> ManifestHeader? {
        let file = try directory.open(.manifest(number), for: .read)
        let bytes = try file.read(count: ManifestFormat.headerSize, at: 0)
        return bytes.span.withUnsafeBytes { bytes in
            do throws(EngineError) {
                return try ManifestHeader(decoding: bytes, file: file.name)
            } catch {
                return nil
            }
        }
    }

    private static func logHeader(
        _ number: UInt64,
        _ directory: StoreDirectory
    ) throws(EngineError) -> LogFileHeader? {
        let file = try directory.open(.log(number), for: .read)
        let bytes = try file.read(count: LogFormat.headerSize, at: 0)
        return bytes.span.withUnsafeBytes { bytes in
            do throws(EngineError) {
                return try LogFileHeader(decoding: bytes, file: file.name)
            } catch {
                return nil
            }
        }
    }
}
