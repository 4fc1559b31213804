import StorageEngine

extension Message {
    package var frameType: FrameType {
        switch self {
        case .hello: .hello
        case .follow: .follow
        case .take: .take
        case .report: .report
        case .welcome: .welcome
        case .pack: .pack
        case .offer: .offer
        case .part: .part
        case .beat: .beat
        case .refusal: .refusal
        case .consult: .consult
        case .answer: .answer
        }
    }

    /// Appends the fields.
    func encode(to fields: inout ByteBuffer) {
        switch self {
        case .hello(let hello): hello.encode(to: &fields)
        case .follow(let follow): follow.encode(to: &fields)
        case .take(let take): take.encode(to: &fields)
        case .report(let report): report.encode(to: &fields)
        case .welcome(let welcome): welcome.encode(to: &fields)
        case .pack(let session, let epoch, let pack):
            fields.append(session)
            fields.append(epoch)
            pack.encode(to: &fields)
        case .offer(let session, let offer):
            fields.append(session)
            offer.encode(to: &fields)
        case .part(let session, let part):
            fields.append(session)
            part.encode(to: &fields)
        case .beat(let beat): beat.encode(to: &fields)
        case .refusal(let refusal): refusal.encode(to: &fields)
        case .consult(let consult): consult.encode(to: &fields)
        case .answer(let answer): answer.encode(to: &fields)
        }
    }
}

extension ByteBuffer {
    fileprivate mutating func append(flag: Bool) { append(flag ? 1 : 0 as UInt8) }

    fileprivate mutating func append(_ epoch: Epoch) {
        append(epoch.number)
        append(epoch.starter)
    }

    fileprivate mutating func append(_ tail: Tail) {
        append(tail.epoch)
        append(tail.sequence)
        append(tail.logHash)
    }

    fileprivate mutating func append(optional id: UniqueID?) {
        append(flag: id != nil)
        if let id { append(id) }
    }

    fileprivate mutating func append(optional epoch: Epoch?) {
        append(flag: epoch != nil)
        if let epoch { append(epoch) }
    }

    /// More than a count can say is too large for a message anyway.
    private mutating func append(count: Int) { append(UInt32(clamping: count)) }

    fileprivate mutating func append(_ route: [UniqueID]) {
        append(count: route.count)
        for member in route { append(member) }
    }

    fileprivate mutating func append(_ epochs: [Epoch]) {
        append(count: epochs.count)
        for epoch in epochs { append(epoch) }
    }

    fileprivate mutating func append(_ outline: LogOutline) {
        append(count: outline.table.count)
        for entry in outline.table {
            append(entry.epoch)
            append(entry.lastSequenceBefore)
            append(entry.logHashBefore)
        }
        append(outline.tail)
    }

    fileprivate mutating func append(_ reports: [MemberReport]) {
        append(count: reports.count)
        for report in reports {
            append(report.member)
            append(report.incarnation)
            append(report.epoch)
            append(report.watermarks.received)
            append(report.watermarks.wal)
            append(report.watermarks.disk)
            append(report.watermarks.applied)
            append(report.beat)
        }
    }

    fileprivate mutating func append(_ course: Course) {
        switch course {
        case .resume: append(0 as UInt8)
        case .cut(let end):
            append(1 as UInt8)
            append(end)
        case .behind: append(2 as UInt8)
        case .ahead: append(3 as UInt8)
        case .foreign: append(4 as UInt8)
        }
    }

    fileprivate mutating func append(_ reason: Refusal.Reason) {
        switch reason {
        case .wrongStore: append(0 as UInt8)
        case .fenced(let epoch, let holder):
            append(1 as UInt8)
            append(epoch)
            append(optional: holder)
        case .notLeader(let hint):
            append(2 as UInt8)
            append(optional: hint)
        case .behind(let tail):
            append(3 as UInt8)
            append(tail)
        case .ahead(let tail):
            append(4 as UInt8)
            append(tail)
        case .diverged: append(5 as UInt8)
        case .loop: append(6 as UInt8)
        case .wrongRole: append(7 as UInt8)
        case .busy: append(8 as UInt8)
        case .malformed: append(9 as UInt8)
        }
    }
}

extension Hello {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(optional: history)
        fields.append(member)
        fields.append(role.rawValue)
        fields.append(incarnation)
        fields.append(attempt)
        fields.append(nonce)
        fields.append(promised)
        fields.append(optional: holder)
        fields.append(log)
        fields.append(flag: isAdopting)
    }
}

extension Follow {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(session)
        fields.append(after)
        fields.append(granted)
        fields.append(flag: needsCopy)
        fields.append(flag: copy != nil)
        if let copy { fields.append(copy) }
    }
}

extension Take {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(session)
        fields.append(copy)
        fields.append(from)
    }
}

extension Report {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(session)
        fields.append(promised)
        fields.append(optional: holder)
        fields.append(granted)
        fields.append(entries)
    }
}

extension Welcome {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(nonce)
        fields.append(session)
        fields.append(history)
        fields.append(leadership.epoch)
        fields.append(leadership.leader)
        fields.append(leadership.foundation)
        fields.append(route)
        fields.append(log)
        fields.append(course)
    }
}

extension Pack {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(beginning)
        fields.append(epoch)
        fields.append(previousSequence)
        fields.append(hashBefore)
        fields.append(first)
        fields.append(last)
        fields.append(hashAfter)
        fields.append(size)
        fields.append(flag: isAwaitedOnDisk)
    }
}

extension CopyOffer {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(id)
        fields.append(kind.rawValue)
        fields.append(log)
        fields.append(partCount)
    }
}

extension CopyPart {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(copy)
        fields.append(index)
        fields.append(size)
    }
}

extension Beat {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(session)
        fields.append(epoch)
        fields.append(count)
        fields.append(tail)
        fields.append(route)
    }
}

extension Refusal {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(about)
        fields.append(reason)
    }
}

extension Consult {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(history)
        fields.append(nonce)
        fields.append(optional: epoch)
    }
}

extension Answer {
    fileprivate func encode(to fields: inout ByteBuffer) {
        fields.append(nonce)
        fields.append(optional: granted)
        fields.append(promised)
        fields.append(optional: holder)
        fields.append(flag: isSuspect)
        fields.append(tail)
    }
}
