internal import NIOCore
import Replication
import StorageEngine

/// A connection that another member began: packets come from it.
///
/// Thread safety: called on the connection's event loop; ``replace()`` by anyone.
final class AcceptedConnection: ConnectionOwner, @unchecked Sendable {
    let hasDialed = false
    private let network: NetworkLinks
    private let address: String
    private let lock = Lock()
    // What the lock protects.
    private var connection: NIOLoopBound<ConnectionHandler>?
    private var member: UniqueID?
    /// Whom the certificate names; `nil` without TLS.
    private var named: Set<UniqueID>?

    init(network: NetworkLinks, address: String) {
        self.network = network
        self.address = address
    }

    func secured(_ names: [String]) throws(LinkFailure) {
        guard case .tls(let files) = network.options.security else { return }
        let members = Set(names.compactMap { files.members[$0] })
        guard !members.isEmpty else { throw .wrongName }
        lock.with { named = members }
    }

    func greeted(_ greeting: Greeting) throws(LinkFailure) {
        let member = greeting.member
        if let named = lock.with({ named }) {
            guard named.contains(member) else { throw .wrongName }
        }
        guard network.options.peers[member] != nil else { throw .wrongMember }
        lock.with { self.member = member }
        network.admission.authenticate()
    }

    func opened(_ connection: NIOLoopBound<ConnectionHandler>) {
        guard
            let member = lock.with({
                self.connection = connection
                return member
            })
        else { return }
        network.accepted(self, from: member)
    }

    func received(_ packet: Packet) throws(LinkFailure) {
        guard let member = lock.with({ member }) else { return }
        guard network.take(packet, from: member, through: self) else { throw .crowded }
    }

    func nextPacket() -> PacketEncoder? { nil }

    func prepare(here: Bool) -> Bool { false }

    func ended(_ failure: LinkFailure) {
        let member = lock.with {
            connection = nil
            return self.member
        }
        network.admission.leave(address, wasAuthenticated: member != nil)
        network.ended(self, of: member, address: address, failure)
    }

    /// The member has a newer connection.
    func replace() {
        guard let connection = lock.with({ connection }) else { return }
        connection.execute { $0.reject(.replaced) }
    }
}

extension NIOLoopBound {
    /// Calls a closure with the value, on its event loop.
    func execute(_ body: @escaping @Sendable (Value) -> Void) {
        let bound = self
        eventLoop.execute { body(bound.value) }
    }
}
