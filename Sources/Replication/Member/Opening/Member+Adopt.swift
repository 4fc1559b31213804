public import StorageEngine

// A plain store becomes a member's: its checkpoint does.
//
//  1. MEMBER, of a member without a store, is durable before anything else is made: a directory
//     that holds anything but that is somebody else's.
//  2. The checkpoint appears as a whole, see `StagedDirectory`; until MEMBER names it, the next
//     attempt, and every opening, may remove it.
//  3. MEMBER names it last. So after a crash the member has all of the store or nothing, and the
//     store itself is as it was.

extension Member {
    /// Makes a member whose store begins as a copy of a plain one: for a history that was written
    /// without replication, and goes on with it.
    ///
    /// The plain store must not be open; it is opened, recovered, and closed again, and stays as it
    /// is. It has the same history as the member from then on: whatever is written to it later, the
    /// member will never have. Segments are shared by hard links where the file system can.
    ///
    /// The new member does not lead, and may be told to by ``promote(acceptLoss:)`` once the others
    /// are there. As nobody knows whether the store once was a member's, it is not counted among
    /// those who are consulted until it has led or caught up. The other members follow from the
    /// beginning of the log or take a copy. Blocks.
    ///
    /// - Parameters:
    ///   - source: The directory of the plain store.
    ///   - path: The member's directory: absent, empty, or left behind by an attempt that was
    ///     broken off. Its parent must exist.
    ///   - id: Names the member.
    ///   - membership: Who counts.
    ///   - options: How the store is opened.
    /// - Throws: ``EngineError`` with code `invalidArgument` when the directory has other files, or
    ///   a member that has a history already; `wrongStore` when it is another member's; `locked`
    ///   when either is open; what opening and copying the store throws.
    public static func adopt(
        storeAt source: String,
        at path: String,
        id: UniqueID,
        membership: Membership,
        options: MemberOptions = MemberOptions()
    ) throws(EngineError) {
        try Adoption(path, id, membership, options, .system()).run(source)
    }

    /// The same, with files, time, randomness and threads of its own.
    package static func adopt(
        storeAt source: String,
        at path: String,
        id: UniqueID,
        membership: Membership,
        options: MemberOptions,
        environment: Environment
    ) throws(EngineError) {
        try Adoption(path, id, membership, options, environment).run(source)
    }
}

/// Makes a member of a plain store.
private struct Adoption {
    private let path: String
    private let id: UniqueID
    private let membership: Membership
    private let options: MemberOptions
    private let environment: Environment

    init(
        _ path: String,
        _ id: UniqueID,
        _ membership: Membership,
        _ options: MemberOptions,
        _ environment: Environment
    ) {
        self.path = path
        self.id = id
        self.membership = membership
        self.options = options
        self.environment = environment
    }

    func run(_ source: String) throws(EngineError) {
        var options = options
        options.createIfMissing = true
        let directory = try MemberDirectory.open(path, options, environment)
        let lock = try DirectoryLock.acquire(in: directory, exclusive: true)
        defer { do throws(EngineError) { try lock.release() } catch {} }
        var record = try claim(directory)
        try MemberDirectory.removeLeftovers(in: directory, storeNumber: 0)
        let name = MemberDirectory.store(1)
        record.mark.history = try copy(source, to: "\(directory.path)/\(name)")
        record.storeID = try StoreMark(in: directory.subdirectory(name)).memberID
        record.storeNumber = 1
        try MemberFile.write(record, in: directory)
    }

    /// Makes the directory that of a member without a store.
    private func claim(_ directory: StoreDirectory) throws(EngineError) -> MemberRecord {
        if let found = try MemberFile.read(in: directory) {
            try found.check(id)
            guard found.storeNumber == 0, found.mark.history == nil else {
                throw .invalidArgument("adopting a store: the member has a history already")
            }
            return found
        }
        guard try MemberDirectory.isVacant(directory) else {
            throw .invalidArgument("adopting a store: there are other files in \(directory.path)")
        }
        let record = MemberRecord(newMember: id, of: membership)
        try MemberFile.write(record, in: directory)
        return record
    }

    /// Copies the store.
    ///
    /// - Returns: Its history.
    private func copy(_ source: String, to path: String) throws(EngineError) -> UniqueID {
        var options = options.engine
        options.createIfMissing = false
        let engine = try Engine.open(at: source, options: options, environment: environment)
        do throws(EngineError) {
            _ = try engine.copy(to: path)
        } catch {
            engine.abandon()
            throw error
        }
        let history = engine.historyID
        try engine.close()
        return history
    }
}
