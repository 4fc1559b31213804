import Foundation
import Glibc

/// A socket on loopback that says whatever a test wants it to.
final class RawPeer: Sendable {
    struct Failure: Error {
        let call: String
        let code: Int32
    }

    private let socket: Int32

    private init(_ socket: Int32) {
        self.socket = socket
        var limit = timeval(tv_sec: 30, tv_usec: 0)
        unsafe setsockopt(
            socket,
            SOL_SOCKET,
            SO_RCVTIMEO,
            &limit,
            socklen_t(MemoryLayout<timeval>.size)
        )
    }

    deinit { Glibc.close(socket) }

    private static func open() throws -> Int32 {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { throw Failure(call: "socket", code: errno) }
        return socket
    }

    private static func withAddress<R>(
        _ port: Int,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
    ) -> R {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe body(pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Whether nobody listens on a port.
    static func canListen(on port: Int) throws -> Bool {
        let socket = try open()
        defer { Glibc.close(socket) }
        return unsafe withAddress(port, { unsafe bind(socket, $0, $1) }) == 0
    }

    static func connected(to port: Int) throws -> RawPeer {
        let socket = try open()
        guard unsafe withAddress(port, { unsafe connect(socket, $0, $1) }) == 0 else {
            throw Failure(call: "connect", code: errno)
        }
        return RawPeer(socket)
    }

    /// Accepts one connection at a time.
    final class Server: Sendable {
        private let socket: Int32
        let port: Int

        init() throws {
            let socket = try RawPeer.open()
            self.socket = socket
            guard unsafe RawPeer.withAddress(0, { unsafe bind(socket, $0, $1) }) == 0,
                listen(socket, 16) == 0
            else { throw Failure(call: "bind", code: errno) }
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let result = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe getsockname(socket, $0, &size)
                }
            }
            guard result == 0 else { throw Failure(call: "getsockname", code: errno) }
            port = Int(UInt16(bigEndian: address.sin_port))
        }

        deinit { Glibc.close(socket) }

        func accept() throws -> RawPeer {
            let accepted = Glibc.accept(socket, nil, nil)
            guard accepted >= 0 else { throw Failure(call: "accept", code: errno) }
            return RawPeer(accepted)
        }
    }

    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(call: "send", code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// Reads some bytes; none when the other side has closed or nothing comes. The tasks of a
    /// server need the threads on which tests run, so that none of them waits here.
    func read() async -> [UInt8] {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: self.readBlocking()) }
        }
    }

    private func readBlocking(_ size: Int = 65_536) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: size)
        let count = unsafe bytes.withUnsafeMutableBytes {
            unsafe recv(socket, $0.baseAddress, $0.count, 0)
        }
        return Array(bytes.prefix(max(count, 0)))
    }

    /// Everything until the other side closes.
    func readToEnd() async -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let bytes = await read()
            if bytes.isEmpty { return all }
            all += bytes
        }
    }
}
