package import StorageEngine

/// What a member sends: a message of the core and, for `.pack` and `.part`, the bytes that its
/// `payload` names.
package struct Packet: Sendable {
    package var message: Message
    package var payload: [UInt8]

    package init(message: Message, payload: [UInt8]) {
        self.message = message
        self.payload = payload
    }
}

/// Carries packets between members.
///
/// `send` never blocks: it drops the packet when there is no link, or its buffer is full. What
/// comes is delivered one packet at a time, to somebody who may wait, on a thread that may. Order
/// is kept within a connection; nothing is promised across connections. The sender of what is
/// delivered is authenticated.
///
/// Thread safety: every method may be called from any thread.
package protocol Links: AnyObject, Sendable {
    func start(_ deliver: @escaping @Sendable (Packet, _ sender: UniqueID) -> Void)
    func send(_ packet: Packet, to member: UniqueID)
    func stop()
}
