/// A name in the directory of a store, or of backups: a kind, and perhaps numbers.
///
/// Names are always spelled from their kind and number; what the disk says is parsed first, and
/// only the canonical spelling parses.
package enum FileName: Hashable, Sendable {
    /// What the store is: `STORE`.
    case store
    /// The next `STORE` while it is written: `STORE.tmp`.
    case temporaryStore
    /// The consumers for whom the log is kept: `SLOTS`.
    case slots
    /// The next `SLOTS` while it is written: `SLOTS.tmp`.
    case temporarySlots
    /// What a replication member remembers: `MEMBER`.
    case member
    /// The next `MEMBER` while it is written: `MEMBER.tmp`.
    case temporaryMember
    /// What a copy is that comes in parts: `COPY`.
    case copy
    /// The next `COPY` while it is written: `COPY.tmp`.
    case temporaryCopy
    /// What the engine that has the directory open holds a lock on: `LOCK`.
    case lock
    /// The directory of bytes that were cut off and not thrown away: `quarantine`.
    case quarantine
    /// A file of the log, numbered from 1: `0000000001.log`.
    case log(UInt64)
    /// A file of the log while it is rewritten: `0000000001.log.tmp`.
    case temporaryLog(UInt64)
    /// What the store consists of, numbered from 1: `0000000001.manifest`.
    case manifest(UInt64)
    /// Sorted keys and values, numbered from 1: `0000000001.segment`.
    case segment(UInt64)
    /// What a backup consists of, numbered from 1: `0000000001.backup`.
    case backup(UInt64)
    /// A backup's list while it is written: `0000000001.backup.tmp`.
    case temporaryBackup(UInt64)
    /// A log file in a directory of backups: `0000000001-0123456789abcdef.log`.
    case savedLog(UInt64, checksum: UInt64)
    /// A segment in a directory of backups: `0000000001-0123456789abcdef.segment`.
    case savedSegment(UInt64, checksum: UInt64)

    package init?(parsing name: String) {
        let candidates: [FileName] = [
            .store, .temporaryStore, .slots, .temporarySlots, .lock, .quarantine,
            .member, .temporaryMember, .copy, .temporaryCopy,
        ]
        if let found = candidates.first(where: { $0.isSpelled(name) }) {
            self = found
            return
        }
        let stem = name.utf8.prefix { $0 != UInt8(ascii: ".") }
        let digits = stem.prefix { $0 != UInt8(ascii: "-") }
        guard let number = UInt64(Substring(digits)), number >= 1 else { return nil }
        let checksum = UInt64(Substring(stem.dropFirst(digits.count + 1)), radix: 16) ?? 0
        let numbered: [FileName] = [
            .log(number), .temporaryLog(number), .manifest(number), .segment(number),
            .backup(number), .temporaryBackup(number),
            .savedLog(number, checksum: checksum), .savedSegment(number, checksum: checksum),
        ]
        guard let found = numbered.first(where: { $0.isSpelled(name) }) else { return nil }
        self = found
    }

    /// The name under which a new version of this file is written before it is renamed.
    package var temporary: FileName? {
        switch self {
        case .store: .temporaryStore
        case .slots: .temporarySlots
        case .member: .temporaryMember
        case .copy: .temporaryCopy
        case .log(let number): .temporaryLog(number)
        case .backup(let number): .temporaryBackup(number)
        case .temporaryStore, .temporarySlots, .temporaryMember, .temporaryCopy, .lock,
            .quarantine, .temporaryLog, .manifest, .segment, .temporaryBackup, .savedLog,
            .savedSegment:
            nil
        }
    }

    /// Compares bytes: strings would be equal when they only look alike, as "K" and the Kelvin
    /// sign.
    private func isSpelled(_ name: String) -> Bool { description.utf8.elementsEqual(name.utf8) }
}

extension FileName: CustomStringConvertible {
    package var description: String {
        switch self {
        case .store: "STORE"
        case .temporaryStore: "STORE.tmp"
        case .slots: "SLOTS"
        case .temporarySlots: "SLOTS.tmp"
        case .member: "MEMBER"
        case .temporaryMember: "MEMBER.tmp"
        case .copy: "COPY"
        case .temporaryCopy: "COPY.tmp"
        case .lock: "LOCK"
        case .quarantine: "quarantine"
        case .log(let number): "\(padded(number)).log"
        case .temporaryLog(let number): "\(padded(number)).log.tmp"
        case .manifest(let number): "\(padded(number)).manifest"
        case .segment(let number): "\(padded(number)).segment"
        case .backup(let number): "\(padded(number)).backup"
        case .temporaryBackup(let number): "\(padded(number)).backup.tmp"
        case .savedLog(let number, let checksum):
            "\(padded(number))-\(hexadecimal(checksum)).log"
        case .savedSegment(let number, let checksum):
            "\(padded(number))-\(hexadecimal(checksum)).segment"
        }
    }

    private func padded(_ number: UInt64) -> String {
        precondition(number >= 1, "files are numbered from 1")
        let digits = String(number)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }
}

/// By kind, then by number, then by checksum.
extension FileName: Comparable {
    package static func < (left: FileName, right: FileName) -> Bool { left.order < right.order }

    private var order: (Int, UInt64, UInt64) {
        switch self {
        case .store: (0, 0, 0)
        case .temporaryStore: (1, 0, 0)
        case .lock: (2, 0, 0)
        case .quarantine: (3, 0, 0)
        case .log(let number): (4, number, 0)
        case .temporaryLog(let number): (5, number, 0)
        case .manifest(let number): (6, number, 0)
        case .segment(let number): (7, number, 0)
        case .backup(let number): (8, number, 0)
        case .temporaryBackup(let number): (9, number, 0)
        case .savedLog(let number, let checksum): (10, number, checksum)
        case .savedSegment(let number, let checksum): (11, number, checksum)
        case .slots: (12, 0, 0)
        case .temporarySlots: (13, 0, 0)
        case .member: (14, 0, 0)
        case .temporaryMember: (15, 0, 0)
        case .copy: (16, 0, 0)
        case .temporaryCopy: (17, 0, 0)
        }
    }
}
