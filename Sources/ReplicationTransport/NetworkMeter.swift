import StorageEngine

/// Counts what goes through the network.
///
/// Thread safety: every method may be called from any thread.
final class NetworkMeter: @unchecked Sendable {
    private let lock = Lock()
    private var state = NetworkCounts()

    var counts: NetworkCounts { lock.with { state } }

    func received(bytes: Int) { lock.with { state.receivedBytes += UInt64(bytes) } }
    func receivedPacket() { lock.with { state.receivedPackets += 1 } }
    func sent(bytes: Int) { lock.with { state.sentBytes += UInt64(bytes) } }
    func sentPacket() { lock.with { state.sentPackets += 1 } }
    func dropped(packets: Int) { lock.with { state.droppedPackets += UInt64(packets) } }
    func refusedConnection() { lock.with { state.refusedConnections += 1 } }
}
