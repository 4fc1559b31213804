internal import CEngineSystem

/// One set of keys, on which the indexes are compared.
struct IndexBenchmark {
    let name: String
    let keys: KeySet
    /// The keys in another order.
    let hits: KeySet
    /// Keys that are not there.
    let misses: KeySet

    static let valueSize = 100
    static let columns = ["insert", "get", "miss", "forward", "backward", "seek", "overhead"]

    /// Nanoseconds an operation, and bytes a key besides key and value, as ``columns`` has them.
    func measure<Index: MeasuredIndex>(_ type: Index.Type) -> [Double] {
        let index = Index()
        let value = [UInt8](repeating: 0x76, count: Self.valueSize)
        let insert = time(keys.count) {
            var sequence: UInt64 = 0
            value.withUnsafeBytes { value in
                keys.forEach { key in
                    sequence += 1
                    index.insert(key, value, sequence)
                }
            }
            return index.usedBytes
        }
        let get = time(hits.count) { sum(hits, index) }
        let miss = time(misses.count) { sum(misses, index) }
        let forward = time(keys.count) { index.scanForward() }
        let backward = time(keys.count) { index.scanBackward() }
        let seek = time(hits.count) { index.seek(hits) }
        let raw = keys.byteCount + Self.valueSize * keys.count
        let overhead = Double(index.usedBytes - raw) / Double(keys.count)
        return [insert, get, miss, forward, backward, seek, overhead]
    }

    private func sum(_ keys: KeySet, _ index: some MeasuredIndex) -> Int {
        var total = 0
        keys.forEach { total += index.get($0) }
        return total
    }

    /// Nanoseconds that each of a count of operations took.
    private func time(_ count: Int, _ body: () -> Int) -> Double {
        var result = 0
        let elapsed = ContinuousClock().measure { result = body() }
        csystem_black_hole(&result)
        let (seconds, attoseconds) = elapsed.components
        return (Double(seconds) * 1e9 + Double(attoseconds) / 1e9) / Double(max(count, 1))
    }
}
