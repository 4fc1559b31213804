internal import Glibc

/// How the sizes of values are distributed; the mean is `--value-size` each time.
enum ValueSizes: String, CaseIterable, Sendable {
    /// All the same.
    case fixed
    /// From 1 to twice the mean, each as likely.
    case uniform
    /// Size s with a probability in proportion to 1/s.
    case zipf
}

/// What values are cut from, shared by all workers.
struct ValueSource: Sendable {
    /// Pieces of 100 bytes, as db_bench makes them: each begins with random characters, the part
    /// that the compression ratio says, and repeats them.
    let bytes: [UInt8]
    /// Sizes that follow the distribution, drawn from at random.
    let sizes: [Int]

    private static let pieceSize = 100
    private static let sizeCount: UInt64 = 4096

    init(size: Int, sizes distribution: ValueSizes, compressionRatio: Double, seed: UInt64) {
        var random = SplitMix64(seed: seed, worker: -1)
        sizes = Self.sizes(distribution, mean: size)
        let sizeMax = sizes.max() ?? size
        bytes = Self.compressible(
            count: max(1 << 20, 2 * sizeMax),
            ratio: compressionRatio,
            &random
        )
    }

    private static func compressible(
        count: Int,
        ratio: Double,
        _ random: inout SplitMix64
    ) -> [UInt8] {
        let rawSize = min(pieceSize, max(1, Int(Double(pieceSize) * ratio)))
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + pieceSize)
        while bytes.count < count {
            let start = bytes.count
            for _ in 0..<rawSize { bytes.append(UInt8(32 + random.next(below: 95))) }
            for place in rawSize..<pieceSize { bytes.append(bytes[start + place % rawSize]) }
        }
        return bytes
    }

    /// The sizes at evenly spaced quantiles.
    private static func sizes(_ distribution: ValueSizes, mean: Int) -> [Int] {
        guard mean > 0, distribution != .fixed else { return [mean] }
        let largest = distribution == .uniform ? 2 * mean : zipfLargest(mean: Double(mean))
        return (0..<sizeCount).map { index in
            let quantile = (Double(index) + 0.5) / Double(sizeCount)
            let size =
                distribution == .uniform
                ? quantile * Double(largest) : pow(Double(largest + 1), quantile)
            return max(1, min(largest, Int(size)))
        }
    }

    /// The largest size n for which n / ln(n + 1), the mean of sizes up to it, is what is wanted.
    private static func zipfLargest(mean: Double) -> Int {
        var largest = mean
        for _ in 0..<64 { largest = mean * log(largest + 1) }
        return max(1, Int(largest))
    }
}

/// Cuts one worker's values from the shared bytes.
struct ValueMaker: Sendable {
    private let source: ValueSource
    private var position: Int
    private var random: SplitMix64

    init(_ source: ValueSource, random: SplitMix64) {
        self.source = source
        self.random = random
        position = 0
        position = Int(self.random.next(below: UInt64(source.bytes.count / 2)))
    }

    var bytes: [UInt8] { source.bytes }

    /// Where the next value is in the bytes.
    mutating func next() -> Range<Int> {
        let sizes = source.sizes
        let size =
            sizes.count == 1 ? sizes[0] : sizes[Int(random.next(below: UInt64(sizes.count)))]
        if position + size > source.bytes.count { position = 0 }
        let start = position
        position += size
        return start..<position
    }
}
