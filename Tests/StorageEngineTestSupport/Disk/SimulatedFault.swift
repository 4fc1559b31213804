internal import Glibc

/// The calls of a file system that a fault can hit.
package enum SimulatedCall: String, Sendable, CaseIterable {
    case openDirectory, makeDirectory, open, create, close
    case write, read, dataSync, syncDirectory, size, truncate, allocate
    case rename, link, unlink, removeDirectory, list, lock, freeSpace, permissions
}

/// Makes one call fail or do less than asked, or all from that one on.
package struct SimulatedFault: Sendable {
    /// Which of the calls after the first one are hit as well.
    package enum Duration: Sendable, Hashable {
        case once
        case forever
        /// Until the file system's clock shows a time, in nanoseconds.
        case until(UInt64)
    }

    /// `nil` for any call.
    let call: SimulatedCall?
    /// `nil` for a short count without an error.
    let errno: Int32?
    let bytesDone: Int?
    var occurrence: Int
    let duration: Duration
    /// Whether the call does its work and then reports the error nevertheless.
    package var takesEffect = false
    let matchesName: (@Sendable (String) -> Bool)?

    /// Describes a fault.
    ///
    /// - Parameters:
    ///   - call: The kind of call; `nil` for any.
    ///   - errno: The error; `nil` when the call succeeds, with a short count.
    ///   - bytesDone: At most how many bytes a read or a write transfers, error or not.
    ///   - occurrence: Which of the calls that match, counted from 1 when the fault is injected.
    ///   - duration: The same, for those that pass; it goes before `isPersistent`.
    ///   - name: Which files and directories: by their name, or by the path for calls that take
    ///     one.
    package init(
        _ call: SimulatedCall?,
        errno: Int32?,
        bytesDone: Int? = nil,
        occurrence: Int = 1,
        duration: Duration = .once,
        name: (@Sendable (String) -> Bool)? = nil
    ) {
        self.call = call
        self.errno = errno
        self.bytesDone = bytesDone
        self.occurrence = occurrence
        self.duration = duration
        matchesName = name
    }
}

/// A call that a fault has hit.
package struct InjectedFault: Sendable, Hashable {
    package let call: SimulatedCall
    /// Of the file or directory; a path for calls that take one.
    package let name: String
    /// `nil` when the call did less than asked, without an error.
    package let errno: Int32?
    package let takesEffect: Bool
}

/// The faults that are planned, and how far the counts are.
struct SimulatedFaults: Sendable {
    private(set) var planned: [(fault: SimulatedFault, matches: Int)] = []
    private(set) var callCount = 0
    private(set) var injected: [InjectedFault] = []
    /// How many of ``injected`` were taken.
    private(set) var injectedBefore = 0
    var recordsCalls = false
    private(set) var recorded: [(call: SimulatedCall, name: String)] = []

    mutating func inject(_ fault: SimulatedFault) { planned.append((fault, 0)) }
    mutating func removeAll() { planned = [] }

    mutating func takeInjected() -> [InjectedFault] {
        defer {
            injectedBefore += injected.count
            injected = []
        }
        return injected
    }

    /// Counts a call, and returns the fault that hits it.
    mutating func hit(_ call: SimulatedCall, _ name: String, now: UInt64) -> SimulatedFault? {
        callCount += 1
        if recordsCalls { recorded.append((call, name)) }
        guard !planned.isEmpty else { return nil }
        var found: SimulatedFault?
        for index in planned.indices {
            let fault = planned[index].fault
            guard fault.call ?? call == call, fault.matchesName?(name) ?? true else { continue }
            planned[index].matches += 1
            let matches = planned[index].matches
            let isHit =
                switch fault.duration {
                case .once: matches == fault.occurrence
                case .forever: matches >= fault.occurrence
                case .until(let time): matches >= fault.occurrence && now < time
                }
            if isHit, found == nil { found = fault }
        }
        if let found {
            let errno = found.errno
            injected.append(
                InjectedFault(call: call, name: name, errno: errno, takesEffect: found.takesEffect)
            )
        }
        return found
    }
}

extension SimulatedFault {
    package static let full = ENOSPC
    package static let quota = EDQUOT

    /// A fault that a real system could show, soon.
    package init(using generator: inout SeededGenerator, now: UInt64) {
        let calls: [SimulatedCall] = [
            .write, .write, .write, .dataSync, .dataSync, .syncDirectory, .create, .open, .rename,
            .unlink, .read, .truncate, .allocate, .list, .close, .size,
        ]
        let call = calls.randomElement(using: &generator) ?? .write
        var errnos = [EIO, EIO, EINTR]
        switch call {
        case .write, .dataSync, .allocate, .truncate: errnos += [ENOSPC, EDQUOT, EFBIG]
        case .create, .open: errnos += [EMFILE, ENFILE, EACCES, ENOSPC]
        case .rename, .unlink: errnos += [EROFS, ENOSPC]
        default: break
        }
        let isShort =
            call == .write || call == .read ? Int.random(in: 0..<3, using: &generator) == 0 : false
        let bytes = Int.random(in: 1...400, using: &generator)
        let errno = isShort ? nil : errnos.randomElement(using: &generator)
        // Of a write that fails for lack of space, or of quota, nothing was written.
        let hasBytes = call == .write || call == .read
        let mayDoSome = errno == EIO || !hasBytes
        let passes = Int.random(in: 0..<3, using: &generator) == 0
        self.init(
            call,
            errno: errno,
            bytesDone: isShort || hasBytes && errno == EIO && bytes % 2 == 0 ? bytes : nil,
            occurrence: .random(in: 1...4, using: &generator),
            duration: passes
                ? .until(now + .random(in: 1_000_000...400_000_000, using: &generator)) : .once
        )
        // A call may do its work and report an error all the same, as over a network.
        takesEffect = Int.random(in: 0..<5, using: &generator) == 0 && mayDoSome
    }
}
