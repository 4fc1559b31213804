internal import NIOCore
internal import NIOSSL
internal import NIOTLS
import Replication

// One connection, whichever side began it: takes frames apart and makes them, greets, finds out
// whether the other side is still there. What greetings and packets mean is for its owner.
//
//   securing ──▶ greeting ──▶ open ──▶ closed      (from any of them to closed; once)
//
// (1) The stages up to `open` end after `handshakeTime`, so that nobody holds a place for nothing.
// (2) `ended` is told once, with the first reason.
// (3) What is received is handed on right here, to an owner that does not wait.
// (4) Frames are made when the socket wants them. What waits, waits in the owner's queue, which is
//     bounded; the channel itself holds little more than its high watermark.

/// Whoever has a connection. Called on the connection's event loop.
protocol ConnectionOwner: AnyObject, Sendable {
    /// Whether this side began the connection, and so greets first and sends packets.
    var hasDialed: Bool { get }
    /// TLS is there; the other side's certificate has these names.
    func secured(_ names: [String]) throws(LinkFailure)
    /// The other side says who it is.
    func greeted(_ greeting: Greeting) throws(LinkFailure)
    /// Both sides have greeted.
    func opened(_ connection: NIOLoopBound<ConnectionHandler>)
    func received(_ packet: Packet) throws(LinkFailure)
    func nextPacket() -> PacketEncoder?
    /// There is nothing more to send: prepares packets if that was asked for, or has another thread
    /// prepare them; returns whether it was asked for.
    func prepare(here: Bool) -> Bool
    func ended(_ failure: LinkFailure)
}

/// Thread safety: none; everything happens on the channel's event loop.
final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Stage { case securing, greeting, open, closed }

    /// What many small frames are collected to before they are written.
    private static let batchSize = 64 << 10
    /// How often packets are prepared in a row.
    private static let preparationsMax = 4

    private let owner: any ConnectionOwner
    private let greeting: Greeting
    private let limits: NetworkLimits
    private let admission: Admission
    private let meter: NetworkMeter
    /// `nil` for plaintext.
    private let tls: NIOSSLHandler?

    private var stage = Stage.securing
    private var context: ChannelHandlerContext?
    private var decoder: WireDecoder
    private var buffer = ByteBuffer()
    /// What the decoder and the buffer hold, as ``Admission`` knows it.
    private var held = 0
    private var current: PacketEncoder?
    private var version: UInt8 = 1
    private var bodySizeMax = WireFormat.bodySizes.lowerBound
    private var lastRead = NIODeadline.now()
    private var hasWritten = false
    private var handshakeTimer: Scheduled<Void>?
    private var heartbeat: RepeatedTask?

    init(owner: any ConnectionOwner, network: NetworkLinks, tls: NIOSSLHandler?) {
        self.owner = owner
        self.tls = tls
        limits = network.options.limits
        admission = network.admission
        meter = network.meter
        greeting = Greeting(member: network.member, bodySizeMax: limits.wire.bodySizeMax)
        decoder = WireDecoder(limits: limits.wire)
    }

    // MARK: The channel's life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        handshakeTimer = context.eventLoop.scheduleTask(in: .milliseconds(limits.handshakeTime)) {
            bound.value.fail(.slowHandshake)
        }
        if context.channel.isActive {
            begin()
        } else if owner.hasDialed {
            fail(.closed)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        fail(.closed)
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.closed)
        context.fireChannelInactive()
    }

    private func begin() {
        guard tls == nil, stage == .securing else { return }
        secure([])
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent {
            guard let certificate = tls?.peerCertificate else { return fail(.noCertificate) }
            secure(certificate.names)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(LinkFailure(error, peer: tls?.peerCertificate))
    }

    private func secure(_ names: [String]) {
        guard stage == .securing else { return }
        stage = .greeting
        do throws(LinkFailure) {
            try owner.secured(names)
            if owner.hasDialed { write(greeting.encoded()) }
        } catch {
            reject(error)
        }
    }

    /// Ends the connection; only the first reason counts.
    func fail(_ failure: LinkFailure) {
        guard stage != .closed else { return }
        stage = .closed
        handshakeTimer?.cancel()
        heartbeat?.cancel()
        _ = admission.hold(-held)
        held = 0
        buffer = ByteBuffer()
        current = nil
        context?.close(promise: nil)
        owner.ended(failure)
    }

    /// Ends the connection; the other side is told why, if it can hear it.
    func reject(_ failure: LinkFailure) {
        if !owner.hasDialed, let rejection = failure.rejection { write(rejection.encoded()) }
        fail(failure)
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard stage != .closed else { return }
        lastRead = .now()
        var incoming = Self.unwrapInboundIn(data)
        meter.received(bytes: incoming.readableBytes)
        if buffer.readableBytes == 0 {
            buffer = incoming
        } else {
            buffer.discardReadBytes()
            buffer.writeBuffer(&incoming)
        }
        do throws(WireFailure) {
            while stage != .closed, try step() {}
        } catch {
            return reject(.wire(error))
        }
        guard stage != .closed else { return }
        let now = decoder.heldSize + buffer.readableBytes
        let isWithinLimits = admission.hold(now - held)
        held = now
        if !isWithinLimits { fail(.tooManyBytes) }
    }

    /// Takes one frame; returns whether there may be another.
    private func step() throws(WireFailure) -> Bool {
        var consumed = 0
        let event = try unsafe buffer.withUnsafeReadableBytes { bytes in
            Result { () throws(WireFailure) in
                try unsafe decoder.next(bytes, consumed: &consumed)
            }
        }.get()
        buffer.moveReaderIndex(forwardBy: consumed)
        if let event { handle(event) }
        return consumed > 0
    }

    private func handle(_ event: WireDecoder.Event) {
        do throws(LinkFailure) {
            switch event {
            case .heartbeat: break
            case .rejection(let rejection): fail(.rejected(rejection))
            case .greeting(let greeting): try open(greeting)
            case .packet(let packet):
                meter.receivedPacket()
                try owner.received(packet)
            }
        } catch {
            reject(error)
        }
    }

    private func open(_ other: Greeting) throws(LinkFailure) {
        // TLS hands on nothing before its own handshake is over.
        guard stage == .greeting, let context else { return }
        do throws(WireFailure) {
            version = try other.agreedVersion()
        } catch {
            throw .wire(error)
        }
        try owner.greeted(other)
        bodySizeMax = other.bodySizeMax
        handshakeTimer?.cancel()
        stage = .open
        if !owner.hasDialed { write(greeting.encoded()) }
        // It may have failed at once.
        guard stage == .open else { return }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let interval = TimeAmount.milliseconds(limits.heartbeatInterval)
        heartbeat = context.eventLoop.scheduleRepeatedTask(
            initialDelay: interval,
            delay: interval
        ) { _ in bound.value.beat() }
        owner.opened(bound)
        pump()
    }

    // MARK: Writing

    /// Writes what waits, and then what is prepared, as long as the socket takes it. Who never
    /// runs out of records does not keep the loop from its other connections.
    func pump() {
        guard stage == .open, owner.hasDialed, let channel = context?.channel else { return }
        var preparations = Self.preparationsMax
        while stage == .open, channel.isWritable {
            var batch = channel.allocator.buffer(capacity: 512)
            while batch.readableBytes < Self.batchSize, appendFrame(to: &batch, &preparations) {}
            guard batch.readableBytes > 0 else { return }
            write(batch)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        pump()
        context.fireChannelWritabilityChanged()
    }

    private func appendFrame(to batch: inout ByteBuffer, _ preparations: inout Int) -> Bool {
        if current == nil { current = owner.nextPacket() }
        while current == nil, batch.readableBytes == 0, owner.prepare(here: preparations > 0) {
            preparations -= 1
            current = owner.nextPacket()
        }
        guard let size = current?.nextFrameSize(bodySizeMax: bodySizeMax) else { return false }
        unsafe batch.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { target in
            unsafe current?.encodeFrame(
                to: UnsafeMutableRawBufferPointer(rebasing: target[..<size]),
                version: version
            )
            return size
        }
        if current?.nextFrameSize(bodySizeMax: bodySizeMax) == nil {
            current = nil
            meter.sentPacket()
        }
        return true
    }

    private func write(_ frame: [UInt8]) { write(ByteBuffer(bytes: frame)) }

    private func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        hasWritten = true
        meter.sent(bytes: bytes.readableBytes)
        context.writeAndFlush(Self.wrapOutboundOut(bytes), promise: nil)
    }

    /// Says that this side is there, and looks whether the other one is.
    private func beat() {
        guard stage == .open else { return }
        if NIODeadline.now() - lastRead > .milliseconds(limits.silenceMax) {
            return fail(.silent)
        }
        if !hasWritten { write(WireFrame.heartbeat) }
        hasWritten = false
    }
}

extension LinkFailure {
    /// What the other side is told, if it is told anything.
    fileprivate var rejection: Rejection? {
        switch self {
        case .wrongName, .wrongMember: .notAllowed
        case .wire(.unsupportedVersions), .wire(.unsupportedFeatures): .unsupported
        case .wire: .malformed
        case .replaced: .replaced
        default: nil
        }
    }
}
