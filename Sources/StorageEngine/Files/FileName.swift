/// A name in the store's directory: a kind and perhaps a number.
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

    package init?(parsing name: String) {
        let candidates: [FileName] = [
            .store, .temporaryStore, .slots, .temporarySlots, .lock, .quarantine,
        ]
        if let found = candidates.first(where: { $0.isSpelled(name) }) {
            self = found
            return
        }
        let digits = name.utf8.prefix { $0 != UInt8(ascii: ".") }
        guard let number = UInt64(Substring(digits)), number >= 1 else { return nil }
        let numbered: [FileName] = [
            .log(number), .temporaryLog(number), .manifest(number), .segment(number),
        ]
        guard let found = numbered.first(where: { $0.isSpelled(name) }) else { return nil }
        self = found
    }

    /// The name under which a new version of this file is written before it is renamed.
    package var temporary: FileName? {
        switch self {
        case .store: .temporaryStore
        case .slots: .temporarySlots
        case .log(let number): .temporaryLog(number)
        case .temporaryStore, .temporarySlots, .lock, .quarantine, .temporaryLog, .manifest,
            .segment:
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
        case .lock: "LOCK"
        case .quarantine: "quarantine"
        case .log(let number): "\(padded(number)).log"
        case .temporaryLog(let number): "\(padded(number)).log.tmp"
        case .manifest(let number): "\(padded(number)).manifest"
        case .segment(let number): "\(padded(number)).segment"
        }
    }

    private func padded(_ number: UInt64) -> String {
        precondition(number >= 1, "files are numbered from 1")
        let digits = String(number)
        return String(repeating: "0", count: max(0, 10 - digits.count)) + digits
    }
}

/// By kind, then by number.
extension FileName: Comparable {
    package static func < (left: FileName, right: FileName) -> Bool { left.order < right.order }

    private var order: (Int, UInt64) {
        switch self {
        case .store: (0, 0)
        case .temporaryStore: (1, 0)
        case .lock: (2, 0)
        case .quarantine: (3, 0)
        case .log(let number): (4, number)
        case .temporaryLog(let number): (5, number)
        case .manifest(let number): (6, number)
        case .segment(let number): (7, number)
        case .slots: (8, 0)
        case .temporarySlots: (9, 0)
        }
    }
}
