import StorageEngine

extension Message {
    /// Reads the fields of a message, all of them.
    init(_ fields: inout FieldReader, type: FrameType) throws(WireFailure) {
        self = try Message.read(type, &fields)
        try fields.end()
    }

    private static func read(
        _ type: FrameType,
        _ fields: inout FieldReader
    ) throws(WireFailure) -> Message {
        switch type {
        case .hello: .hello(try Hello(&fields))
        case .follow: .follow(try Follow(&fields))
        case .take: .take(try Take(&fields))
        case .report: .report(try Report(&fields))
        case .welcome: .welcome(try Welcome(&fields))
        case .pack:
            .pack(session: try fields.uint64(), epoch: try fields.epoch(), try Pack(&fields))
        case .offer: .offer(session: try fields.uint64(), try CopyOffer(&fields))
        case .part: .part(session: try fields.uint64(), try CopyPart(&fields))
        case .beat: .beat(try Beat(&fields))
        case .refusal: .refusal(try Refusal(&fields))
        case .consult: .consult(try Consult(&fields))
        case .answer: .answer(try Answer(&fields))
        case .greeting, .rejection, .heartbeat, .piece: throw .unexpected(type)
        }
    }
}

extension FieldReader {
    fileprivate mutating func id() throws(WireFailure) -> UniqueID? {
        try optional { fields throws(WireFailure) in try fields.uniqueID() }
    }

    fileprivate mutating func outline() throws(WireFailure) -> LogOutline {
        let table = try list(max: LogOutline.entriesMax, itemSize: EpochEntry.wireSize) {
            fields throws(WireFailure) in
            EpochEntry(
                epoch: try fields.epoch(),
                lastSequenceBefore: try fields.uint64(),
                logHashBefore: try fields.uint64()
            )
        }
        return LogOutline(table: table, tail: try tail())
    }

    fileprivate mutating func route() throws(WireFailure) -> [UniqueID] {
        try list(max: WireFormat.membersMax, itemSize: UniqueID.wireSize) {
            fields throws(WireFailure) in try fields.uniqueID()
        }
    }

    fileprivate mutating func course() throws(WireFailure) -> Course {
        switch try byte() {
        case 0: .resume
        case 1: .cut(to: try tail())
        case 2: .behind
        case 3: .ahead
        case 4: .foreign
        default: throw failure
        }
    }

    fileprivate mutating func reason() throws(WireFailure) -> Refusal.Reason {
        switch try byte() {
        case 0: .wrongStore
        case 1: .fenced(by: try epoch(), holder: try id())
        case 2: .notLeader(hint: try id())
        case 3: .behind(try tail())
        case 4: .ahead(try tail())
        case 5: .diverged
        case 6: .loop
        case 7: .wrongRole
        case 8: .busy
        case 9: .malformed
        default: throw failure
        }
    }
}

extension Hello {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        history = try fields.id()
        member = try fields.uniqueID()
        role = try fields.code()
        incarnation = try fields.uint64()
        attempt = try fields.uint64()
        nonce = try fields.uint64()
        promised = try fields.epoch()
        holder = try fields.id()
        log = try fields.outline()
        isAdopting = try fields.flag()
    }
}

extension Follow {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        session = try fields.uint64()
        after = try fields.tail()
        granted = try fields.uint64()
        needsCopy = try fields.flag()
        copy = try fields.optional { fields throws(WireFailure) in try fields.uint64() }
    }
}

extension Take {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        session = try fields.uint64()
        copy = try fields.uint64()
        from = try fields.uint64()
    }
}

extension Report {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        session = try fields.uint64()
        promised = try fields.epoch()
        holder = try fields.id()
        granted = try fields.uint64()
        entries = try fields.list(max: WireFormat.membersMax, itemSize: MemberReport.wireSize) {
            fields throws(WireFailure) in try MemberReport(&fields)
        }
    }
}

extension MemberReport {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        member = try fields.uniqueID()
        incarnation = try fields.uint64()
        epoch = try fields.epoch()
        watermarks = Watermarks()
        watermarks.received = try fields.uint64()
        watermarks.wal = try fields.uint64()
        watermarks.disk = try fields.uint64()
        watermarks.applied = try fields.uint64()
        beat = try fields.uint64()
    }
}

extension Welcome {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        nonce = try fields.uint64()
        session = try fields.uint64()
        history = try fields.uniqueID()
        leadership = Leadership(
            epoch: try fields.epoch(),
            leader: try fields.uniqueID(),
            foundation: try fields.tail()
        )
        route = try fields.route()
        log = try fields.outline()
        course = try fields.course()
    }
}

extension Pack {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        let epochs = try fields.list(max: LogOutline.entriesMax, itemSize: Epoch.wireSize) {
            fields throws(WireFailure) in try fields.epoch()
        }
        self.init(from: .zero, to: .zero, beginning: [], first: 0, size: 0, payload: 0)
        beginning = epochs
        epoch = try fields.epoch()
        previousSequence = try fields.uint64()
        hashBefore = try fields.uint64()
        first = try fields.uint64()
        last = try fields.uint64()
        hashAfter = try fields.uint64()
        size = try fields.uint64()
        isAwaitedOnDisk = try fields.flag()
    }
}

extension CopyOffer {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        id = try fields.uint64()
        kind = try fields.code()
        log = try fields.outline()
        partCount = try fields.uint64()
    }
}

extension CopyPart {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        copy = try fields.uint64()
        index = try fields.uint64()
        size = try fields.uint64()
        payload = 0
    }
}

extension Beat {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        session = try fields.uint64()
        epoch = try fields.epoch()
        count = try fields.uint64()
        tail = try fields.tail()
        route = try fields.route()
    }
}

extension Refusal {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        about = try fields.uint64()
        reason = try fields.reason()
    }
}

extension Consult {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        history = try fields.uniqueID()
        nonce = try fields.uint64()
        epoch = try fields.optional { fields throws(WireFailure) in try fields.epoch() }
    }
}

extension Answer {
    fileprivate init(_ fields: inout FieldReader) throws(WireFailure) {
        nonce = try fields.uint64()
        granted = try fields.optional { fields throws(WireFailure) in try fields.epoch() }
        promised = try fields.epoch()
        holder = try fields.id()
        isSuspect = try fields.flag()
        tail = try fields.tail()
    }
}
