internal import StorageEngine

/// What all clients together may take of this process. Times are in milliseconds.
package struct HTTPLimits: Hashable, Sendable {
    package var connectionsMax = 128
    /// Requests whose answer is a stream.
    package var streamsMax = 32
    /// Requests that are being answered; those of clients that went away are among them.
    package var requestsMax = 256
    /// Bytes of requests' bodies in memory.
    package var bodiesSizeMax = 256 << 20
    /// How long a client may take for a whole request, and between two of them.
    package var requestTime: Int64 = 60_000

    package init() {}
}

/// What clients may take, and have taken.
struct HTTPAdmission: Sendable {
    let connections: Quota
    let streams: Quota
    let requests: Quota
    /// In bytes.
    let bodies: Quota

    init(limits: HTTPLimits) {
        connections = Quota(limits.connectionsMax)
        streams = Quota(limits.streamsMax)
        requests = Quota(limits.requestsMax)
        bodies = Quota(limits.bodiesSizeMax)
    }
}

/// So much of something, and no more.
///
/// Thread safety: every method may be called from any thread.
final class Quota: @unchecked Sendable {
    private let amountMax: Int
    private let lock = Lock()
    // What the lock protects.
    private var amount = 0

    var taken: Int { lock.with { amount } }

    init(_ amountMax: Int) { self.amountMax = amountMax }

    /// Takes some, which is to be given back; returns whether there was enough.
    func take(_ amount: Int = 1) -> Bool {
        lock.with {
            guard amount <= amountMax - self.amount else { return false }
            self.amount += amount
            return true
        }
    }

    func giveBack(_ amount: Int = 1) { lock.with { self.amount -= amount } }
}
