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

/// Counts what clients take.
///
/// Thread safety: every method may be called from any thread.
final class HTTPAdmission: @unchecked Sendable {
    private let limits: HTTPLimits
    private let lock = Lock()
    // What the lock protects.
    private var connections = 0
    private var streams = 0
    private var requests = 0
    private var bodies = 0

    init(limits: HTTPLimits) { self.limits = limits }

    func enter() -> Bool {
        lock.with {
            guard connections < limits.connectionsMax else { return false }
            connections += 1
            return true
        }
    }

    func leave() { lock.with { connections -= 1 } }

    /// Takes more of a body in, or lets it go; returns whether there is room.
    func hold(_ change: Int) -> Bool {
        lock.with {
            guard change <= 0 || bodies + change <= limits.bodiesSizeMax else { return false }
            bodies += change
            return true
        }
    }

    func beginStream() -> Bool {
        lock.with {
            guard streams < limits.streamsMax else { return false }
            streams += 1
            return true
        }
    }

    func endStream() { lock.with { streams -= 1 } }

    func beginRequest() -> Bool {
        lock.with {
            guard requests < limits.requestsMax else { return false }
            requests += 1
            return true
        }
    }

    func endRequest() { lock.with { requests -= 1 } }

    var counts: (connections: Int, streams: Int, bodies: Int) {
        lock.with { (connections, streams, bodies) }
    }
}
