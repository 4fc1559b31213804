import Glibc
import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Swift hides it, as a child of a process with threads may do hardly anything before it ends.
@_silgen_name("fork") private func systemFork() -> pid_t

/// A child has its parent's memory and files, but none of its threads.
@Suite struct ForkTests {
    @Test func aForkedChildIsRefusedAndHarmsNothing() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/store"
        var options = Engine.Options()
        options.logger = .silent
        let engine = try Engine.open(at: path, options: options)
        try engine.put("1", for: "a", ack: .disk)

        let child = systemFork()
        if child == 0 { _exit(Self.refusals(of: engine)) }
        var status: CInt = 0
        while waitpid(child, &status, 0) == -1, errno == EINTR {}
        // All calls were refused, and the process ended by itself.
        #expect(status == 0)

        try engine.put("2", for: "b", ack: .disk)
        #expect(throws: EngineError.self) { try Engine.open(at: path, options: options) }
        try engine.close()
        let again = try Engine.open(at: path, options: options)
        #expect(try again.value(for: "a") == Array("1".utf8))
        #expect(try again.value(for: "b") == Array("2".utf8))
        try again.close()
    }

    /// How many of the calls were not refused.
    private static func refusals(of engine: Engine) -> CInt {
        func isRefused(_ call: () throws(EngineError) -> Void) -> Bool {
            do throws(EngineError) {
                try call()
                return false
            } catch {
                return error.code == .poisoned
            }
        }
        var accepted: CInt = 0
        if !isRefused({ () throws(EngineError) in try engine.put("3", for: "c", ack: .memory) }) {
            accepted += 1
        }
        if !isRefused({ () throws(EngineError) in _ = try engine.value(for: "a") }) {
            accepted += 1
        }
        if !isRefused({ () throws(EngineError) in try engine.flush() }) { accepted += 1 }
        if !isRefused({ () throws(EngineError) in try engine.close() }) { accepted += 1 }
        return accepted
    }
}
