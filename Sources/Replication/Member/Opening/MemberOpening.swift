internal import StorageEngine

/// The directory of a member.
enum MemberDirectory {
    /// Opens the directory, or makes it when that is wanted.
    static func open(
        _ path: String,
        _ options: MemberOptions,
        _ environment: Environment
    ) throws(EngineError) -> StoreDirectory {
        let isShared = options.engine.allowsSharedDirectory
        guard options.createIfMissing else {
            return try StoreDirectory.open(
                path: path,
                in: environment.fileSystem,
                allowsSharedWriting: isShared
            )
        }
        return try StoreDirectory.make(
            path: path,
            in: environment.fileSystem,
            allowsSharedWriting: isShared
        )
    }

    /// The name of a store's directory.
    static func store(_ number: UInt64) -> String { "store-\(padded(number))" }

    /// The name of the directory of a copy that is handed out.
    static func copy(_ number: UInt64) -> String { "copy-\(padded(number))" }

    private static func padded(_ number: UInt64) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }

    /// Whether nothing in a directory is anybody's.
    static func isVacant(_ directory: StoreDirectory) throws(EngineError) -> Bool {
        let listing = try directory.list()
        return listing.known.allSatisfy { $0 == .lock || $0 == .temporaryMember }
            && listing.unknown.allSatisfy { $0 == "lost+found" }
    }

    /// Removes what no opening needs: copies that were handed out, stores that were replaced, and
    /// copies that came and are not of the next number. No copy comes for a member without a
    /// store: what there is of its first one was never the member's.
    static func removeLeftovers(
        in directory: StoreDirectory,
        storeNumber: UInt64
    ) throws(EngineError) {
        let kept = storeNumber == 0 ? [] : [store(storeNumber), store(storeNumber + 1)]
        for name in try directory.list().unknown where !kept.contains(name) {
            let bare = name.hasPrefix(".") ? String(name.dropFirst()) : name
            guard bare.hasPrefix("copy-") || bare.hasPrefix("store-") else { continue }
            try directory.removeTree(name)
        }
    }
}

/// What an opening finds, and makes of it: the record, the store, and the core.
struct MemberOpening {
    private(set) var record: MemberRecord
    private(set) var engine: Engine?
    private(set) var core: MemberCore
    /// Whether the log ends where the last opening closed it.
    let isClean: Bool
    let incoming: IncomingCopy

    /// - Throws: ``EngineError``, see `Member.open`.
    init(
        _ id: UniqueID,
        in directory: StoreDirectory,
        membership: Membership,
        options: MemberOptions,
        environment: Environment
    ) throws(EngineError) {
        record = try Self.read(id, in: directory, membership, options)
        try MemberDirectory.removeLeftovers(in: directory, storeNumber: record.storeNumber)
        if record.storeNumber > 0 {
            try IncomingCopy.settle(record.storeNumber, in: directory)
            engine = try Self.openStore(record, in: directory, options, environment)
        }
        var outline = LogOutline.empty
        if let engine {
            let (epochs, end) = try engine.history()
            outline = LogOutline(epochs, end)
        }
        // A leader's records may be with followers, and none of them in its own log. Only a member
        // whose store was never in use has made none.
        var isClean = record.storeID == nil || record.closed == outline.tail
        if let engine, record.storeID != engine.memberID {
            // Another directory took the store's place: restored from a backup, perhaps.
            isClean = record.storeID == nil && outline.isEmpty
            if !outline.isEmpty { record.distrust(as: membership.isVoter(id) ? .voter : .observer) }
            record.storeID = engine.memberID
            record.mark.history = engine.historyID
        }
        if let engine, engine.recovery.tornBytes > 0 { isClean = false }
        self.isClean = isClean
        // Whatever this directory has forgotten, its reports are newer than those before.
        record.mark.incarnation = max(
            record.mark.incarnation,
            environment.time.wallMilliseconds
        )
        incoming = IncomingCopy(directory: directory, number: record.storeNumber + 1)
        core = MemberCore(
            id: id,
            membership: membership,
            settings: options.coreSettings,
            preferences: options.feeders.isEmpty ? membership.voters : options.feeders,
            mark: record.mark,
            seed: environment.entropy()
        )
        core.restore(
            outline,
            Watermarks(all: outline.tail.sequence),
            partialCopy: try incoming.restore()
        )
    }

    private static func read(
        _ id: UniqueID,
        in directory: StoreDirectory,
        _ membership: Membership,
        _ options: MemberOptions
    ) throws(EngineError) -> MemberRecord {
        if let found = try MemberFile.read(in: directory) {
            try found.check(id)
            return found
        }
        guard options.createIfMissing, try MemberDirectory.isVacant(directory) else {
            throw EngineError(.notAStore, "opening a member: there is none at \(directory.path)")
        }
        return MemberRecord(newMember: id, of: membership)
    }

    /// Opens the member's store.
    static func openStore(
        _ record: MemberRecord,
        in directory: StoreDirectory,
        _ options: MemberOptions,
        _ environment: Environment
    ) throws(EngineError) -> Engine {
        var options = options.engine
        options.isMember = true
        options.follows = record.mark.history
        options.createIfMissing = record.storeID == nil
        let name = MemberDirectory.store(record.storeNumber)
        let engine = try Engine.open(
            at: "\(directory.path)/\(name)",
            options: options,
            environment: environment
        )
        OutgoingCopies.dropSlots(of: engine)
        return engine
    }
}

extension MemberRecord {
    /// A member in a directory that is empty.
    init(newMember id: UniqueID, of membership: Membership) {
        self.init(memberID: id)
        distrust(as: membership.isVoter(id) ? .voter : .observer)
    }

    /// Refuses another member's directory.
    ///
    /// - Throws: ``EngineError`` with code `wrongStore`.
    func check(_ id: UniqueID) throws(EngineError) {
        guard memberID == id else {
            throw EngineError(
                .wrongStore,
                "opening a member: the directory is that of \(memberID), not of \(id)",
                file: FileName.member.description
            )
        }
    }

    /// What the directory held before is not known: what it acknowledged may be missing, so it is
    /// not counted before somebody leads until it has caught up.
    fileprivate mutating func distrust(as role: Role) {
        closed = nil
        mark.leads = false
        if role == .voter { mark.standing = .suspect }
    }
}

extension LogOutline {
    /// The outline of a store's log.
    init(_ epochs: [EpochEntry], _ end: Position) {
        self.init(
            table: epochs,
            tail: Tail(
                epoch: end.sequence > 0 ? end.epoch : .none,
                sequence: end.sequence,
                logHash: end.sequence > 0 ? end.logHash ?? 0 : 0
            )
        )
    }
}

extension Tail {
    /// The place as the store names it.
    var position: Position {
        Position(epoch: epoch, sequence: sequence, logHash: sequence > 0 ? logHash : nil)
    }
}
