extension LogScan {
    /// Hands out the records behind a sequence, in order; when `acrossHoles`, also those behind the
    /// cut.
    func records(
        after first: UInt64,
        acrossHoles: Bool,
        _ handle: Handler
    ) throws(EngineError) {
        let first = max(first, start)
        var last = first
        for index in scanned.indices {
            guard let header = scanned[index].header else { continue }
            let length = recordedEnd(of: header, index)?.length
            var walk = Self.walk(scanned[index], header, through: length)
            var goesOn = true
            while goesOn {
                let events = try Self.next(&walk)
                for (head, operations) in events.records {
                    // Files in the wrong order tell older things again.
                    guard head.sequence > last, acrossHoles || head.sequence <= end.sequence else {
                        continue
                    }
                    try handle(head, operations)
                    last = head.sequence
                }
                goesOn = events.goesOn && events.gap?.isDamage != false
            }
        }
    }

    /// What one step over a file comes across.
    struct Events {
        var goesOn = false
        var hasFrame = false
        var records: [(head: RecordHead, operations: [UInt8])] = []
        var errors: [EngineError] = []
        var gap: (length: UInt64, reason: String, isDamage: Bool)?
    }

    static func next(_ walk: inout LogWalk) throws(EngineError) -> Events {
        var events = Events()
        var inspection = LogInspection()
        do {
            events.goesOn = try walk.next(&inspection) { _, event in
                switch event {
                case .frame: events.hasFrame = true
                case .record(let head, let operations): events.records.append((head, operations))
                case .gap(let length, let reason, _, let isDamage):
                    events.gap = (length, reason, isDamage)
                case .error(let error): events.errors.append(error)
                case .file: break
                }
            }
        } catch let error as EngineError {
            throw error
        } catch {
            preconditionFailure("no other error is thrown here")
        }
        return events
    }

    /// A walk over the frames of a file, up to where it is known to end.
    static func walk(
        _ file: ScannedLogFile,
        _ header: LogFileHeader,
        through length: UInt64?
    ) -> LogWalk {
        LogWalk(
            file: file.file,
            header: header,
            limit: min(length ?? file.size, file.size),
            isFinished: length != nil
        )
    }

    /// Where a file ends, if it is finished.
    func recordedEnd(of header: LogFileHeader, _ index: Int) -> LogEnd? {
        let successor = scanned[(index + 1)...].first { $0.header != nil }?.header
        if let end = successor?.predecessor, end.fileNumber == header.fileNumber { return end }
        return floor.fileNumber == header.fileNumber ? floor : nil
    }
}
