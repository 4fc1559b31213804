import StorageEngine

/// Who may connect, and how much all connections hold.
///
/// Thread safety: every method may be called from any thread.
final class Admission: @unchecked Sendable {
    private let limits: NetworkLimits
    private let lock = Lock()
    // What the lock protects.
    private var count = 0
    private var unauthenticated = 0
    private var perAddress: [String: Int] = [:]
    private var held = 0

    init(limits: NetworkLimits) { self.limits = limits }

    /// Takes a connection in; returns whether there is room for it.
    func enter(_ address: String) -> Bool {
        lock.with {
            let ofAddress = perAddress[address] ?? 0
            guard count < limits.connectionsMax, unauthenticated < limits.unauthenticatedMax,
                ofAddress < limits.connectionsPerAddressMax
            else { return false }
            count += 1
            unauthenticated += 1
            perAddress[address] = ofAddress + 1
            return true
        }
    }

    /// The connection said who it is.
    func authenticate() { lock.with { unauthenticated -= 1 } }

    func leave(_ address: String, wasAuthenticated: Bool) {
        lock.with {
            count -= 1
            if !wasAuthenticated { unauthenticated -= 1 }
            let ofAddress = (perAddress[address] ?? 1) - 1
            perAddress[address] = ofAddress == 0 ? nil : ofAddress
        }
    }

    /// A connection holds more bytes than before, or less; returns whether that is within limits.
    func hold(_ change: Int) -> Bool {
        lock.with {
            held += change
            return change <= 0 || held <= limits.incomingSizeMax
        }
    }

    /// How many connections there are, and how many of them have not said who they are.
    var counts: (all: Int, unauthenticated: Int) { lock.with { (count, unauthenticated) } }
}
