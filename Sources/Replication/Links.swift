package import StorageEngine

/// What a member sends: a message of the core and, for `.pack` and `.part`, the bytes that its
/// `payload` names.
package struct Packet: Sendable {
    package var message: Message
    package var payload: [UInt8]
    /// The bytes of the message on the wire; 0 when it did not come over one.
    package var fieldsSize = 0

    package init(message: Message, payload: [UInt8]) {
        self.message = message
        self.payload = payload
    }
}

/// Takes what came from a member, and returns whether it did: when it must not wait it may refuse,
/// and is asked again on a thread where it may.
package typealias PacketTaker =
    @Sendable (_ packet: Packet, _ sender: UniqueID, _ mayWait: Bool) -> Bool

/// Wakes a thread that has something to do: a system call, which takes as long as all else that is
/// done under a lock; and who is woken while it is held comes for it and is put to sleep again.
package typealias Wake = @Sendable () -> Void

/// Carries packets between members.
///
/// `send` never blocks: it drops the packet when there is no link, or its buffer is full. It
/// returns what has the packet go out, for whoever sends to call once it holds no lock; `nil` when
/// it goes out anyway. Of what a member sent one packet at a time is delivered, in order within a
/// connection; nothing is promised across connections. The sender of what is delivered is
/// authenticated.
///
/// Who would read what goes to a member next may leave that to the link: once it has sent what
/// there was it prepares more, so that no thread is woken only to wake the link's.
///
/// Thread safety: every method may be called from any thread.
package protocol Links: AnyObject, Sendable {
    /// - Parameters:
    ///   - deliver: Takes what members sent.
    ///   - prepare: Sends what links were asked for: `here` as far as that goes without waiting,
    ///     otherwise by another thread.
    func start(
        _ deliver: @escaping PacketTaker,
        prepare: @escaping @Sendable (_ here: Bool) -> Void
    )
    func send(_ packet: Packet, to member: UniqueID) -> Wake?
    /// Has the link to a member prepare once it has sent what there is: when the call has returned,
    /// and what it returned was called. `nil` when there is no link, and it does not.
    func ask(_ member: UniqueID) -> Wake?
    func stop()
}
