/// The calls of a file system that a fault can hit.
package enum SimulatedCall: String, Sendable, CaseIterable {
    case openDirectory, makeDirectory, open, create, close
    case write, read, dataSync, syncDirectory, size, truncate, allocate
    case rename, link, unlink, removeDirectory, list, lock, freeSpace, permissions
}

/// Makes one call fail or do less than asked, or all from that one on.
package struct SimulatedFault: Sendable {
    /// `nil` for any call.
    let call: SimulatedCall?
    /// `nil` for a short count without an error.
    let errno: Int32?
    let bytesDone: Int?
    let occurrence: Int
    let isPersistent: Bool
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
    ///   - isPersistent: Whether all matching calls after that one are hit as well.
    ///   - name: Which files and directories: by their name, or by the path for calls that take
    ///     one.
    package init(
        _ call: SimulatedCall?,
        errno: Int32?,
        bytesDone: Int? = nil,
        occurrence: Int = 1,
        isPersistent: Bool = false,
        name: (@Sendable (String) -> Bool)? = nil
    ) {
        self.call = call
        self.errno = errno
        self.bytesDone = bytesDone
        self.occurrence = occurrence
        self.isPersistent = isPersistent
        matchesName = name
    }
}

/// The faults that are planned, and how far the counts are.
struct SimulatedFaults: Sendable {
    private var planned: [(fault: SimulatedFault, matches: Int)] = []
    private(set) var callCount = 0
    private(set) var injectedCount = 0

    mutating func inject(_ fault: SimulatedFault) { planned.append((fault, 0)) }
    mutating func removeAll() { planned = [] }

    /// Counts a call, and returns the fault that hits it.
    mutating func hit(_ call: SimulatedCall, _ name: String) -> SimulatedFault? {
        callCount += 1
        var found: SimulatedFault?
        for index in planned.indices {
            let fault = planned[index].fault
            guard fault.call ?? call == call, fault.matchesName?(name) ?? true else { continue }
            planned[index].matches += 1
            let matches = planned[index].matches
            let isHit =
                fault.isPersistent ? matches >= fault.occurrence : matches == fault.occurrence
            if isHit, found == nil { found = fault }
        }
        if found != nil { injectedCount += 1 }
        return found
    }
}
