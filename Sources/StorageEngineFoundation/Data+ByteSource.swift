public import Foundation
public import StorageEngine

extension Data: ByteSource {
    /// Calls a closure with the data's bytes.
    public borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        let data = copy self
        return try body(data.span)
    }
}
