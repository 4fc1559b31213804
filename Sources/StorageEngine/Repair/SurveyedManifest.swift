/// A store's manifest, and how much of it can be read.
struct SurveyedManifest {
    /// `nil` when it is missing or damaged.
    let state: ManifestState?
    /// What it says, whole or damaged.
    let clues: ManifestClues
    let defects: [StoreDefect]
    /// All manifest files.
    let files: [FileName]

    /// - Throws: ``EngineError`` with code `io`.
    init(_ directory: StoreDirectory, _ identity: StoreIdentity) throws(EngineError) {
        let known = try directory.list().known
        files = known.filter { if case .manifest = $0 { true } else { false } }
        let hasSegments = known.contains { if case .segment = $0 { true } else { false } }
        // Without STORE, the newest manifest counts: older ones are leftovers.
        let newest = try directory.list().manifestNumbers.last ?? 0
        let number = identity.mark?.manifest ?? newest
        guard number > 0 else {
            let isLost = identity.mark == nil && hasSegments
            state = isLost ? nil : ManifestState()
            clues = ManifestClues()
            defects = isLost ? [StoreDefect(Self.missing(1), file: "")] : []
            return
        }
        var clues = ManifestClues()
        var defects: [StoreDefect] = []
        var inspection: ManifestInspection?
        do {
            let inspector = try ManifestInspector(
                number: number,
                in: directory,
                historyID: identity.historyID
            )
            inspection = try inspector.run { place, event in
                if case .edit(_, let edit) = event { clues.note(edit) }
                if let error = Self.error(event, at: place) {
                    defects.append(StoreDefect(error, file: place.file))
                }
            }
        } catch let error as EngineError {
            guard error.isMissingFile else { throw error }
            defects.append(StoreDefect(Self.missing(number), file: ""))
        } catch {
            preconditionFailure("no other error is thrown here")
        }
        let isWhole = inspection.map { !$0.isDamaged } ?? false
        state = isWhole ? inspection?.state : nil
        self.clues = clues
        self.defects = isWhole ? [] : defects
    }

    private static func missing(_ number: UInt64) -> EngineError {
        .corruption(
            "opening the manifest: it is missing",
            file: FileName.manifest(number).description,
            offset: 0
        )
    }

    /// What an event says is wrong.
    private static func error(_ event: ManifestEvent, at place: LogPlace) -> EngineError? {
        switch event {
        case .error(let error): error
        case .gap(_, let reason, let edit, isDamage: true):
            .corruption(
                "reading the manifest: \(reason); edits after number \(edit) are lost",
                file: place.file,
                offset: place.offset
            )
        case .file, .edit, .seal, .gap: nil
        }
    }
}
