@testable import StorageEngine

/// A decoder of hostile bytes, and what must hold of whatever it makes of them.
///
/// Checksums and hashes would keep a fuzzer out, so a decoder gets bytes whose checks were made
/// right before: what is fuzzed is what lies behind them.
protocol FuzzedDecoder {
    static var name: String { get }

    /// Decodes the bytes, and traps when anything is not as it must be.
    static func check(_ input: UnsafeRawBufferPointer)
}

enum Decoders {
    static var all: [any FuzzedDecoder.Type] {
        [
            FrameHeaderDecoder.self, RecordDecoder.self, OperationsDecoder.self,
            LogFileDecoder.self, StoredBlockDecoder.self, SegmentDecoder.self, EditDecoder.self,
            ManifestDecoder.self, StoreMarkDecoder.self, PackRowDecoder.self, TSVDecoder.self,
            NDJSONDecoder.self, WireStreamDecoder.self,
        ]
    }
}

/// Runs a decoder that may refuse the bytes; `nil` when it does.
func accepted<R, E: Error>(_ body: () throws(E) -> R) -> R? {
    do throws(E) { return try body() } catch { return nil }
}

extension UnsafeRawBufferPointer {
    /// A copy that may be changed.
    var copied: [UInt8] { Array(self) }

    func equals(_ other: UnsafeRawBufferPointer) -> Bool { elementsEqual(other) }
}

extension [UInt8] {
    mutating func store(_ value: UInt64, at offset: Int) {
        for index in 0..<8 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    mutating func store(_ value: UInt32, at offset: Int) {
        for index in 0..<4 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    func hash(_ range: Range<Int>, seed: UInt64 = 0) -> UInt64 {
        withUnsafeBytes { Checksum.xxh3($0[in: range.lowerBound, range.count], seed: seed) }
    }
}
