package import StorageEngine

extension Engine {
    /// Writes up to 300 times: puts of many sizes, deletes and range deletes of 150 keys; for a
    /// store that has a leader's records also some without operations.
    package func writeRandomly(
        withNoOps: Bool = false,
        using generator: inout SeededGenerator
    ) throws(EngineError) {
        for _ in 0..<Int.random(in: 1...300, using: &generator) {
            let key = "k\(Int.random(in: 0..<150, using: &generator))"
            switch Int.random(in: 0..<20, using: &generator) {
            case 0..<5: try delete(key, ack: .memory)
            case 5:
                let range = KeyRange(from: Array(key.utf8), to: Array(key.utf8) + [0x35])
                try deleteRange(range, ack: .memory)
            case 6 where withNoOps: _ = try writeNoOp(ack: .memory)
            default:
                let size = Int.random(in: 0...200, using: &generator)
                try put(String(repeating: "v", count: size), for: key, ack: .memory)
            }
        }
    }
}
