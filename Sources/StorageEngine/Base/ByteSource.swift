/// Something whose bytes can be read in place: keys and values are passed as one.
///
/// Arrays and slices of bytes, strings (their UTF-8) and `Span<UInt8>` conform;
/// `StorageEngineFoundation` adds `Data`.
public protocol ByteSource: ~Copyable, ~Escapable {
    /// Calls a closure with the bytes, which are valid until it returns.
    borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R
}

extension Array: ByteSource where Element == UInt8 {
    /// Calls a closure with the array's elements.
    @inlinable
    public borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R { try body(span) }
}

extension ArraySlice: ByteSource where Element == UInt8 {
    /// Calls a closure with the slice's elements.
    @inlinable
    public borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R { try body(span) }
}

extension String: ByteSource {
    /// Calls a closure with the string's UTF-8.
    @inlinable
    public borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        let utf8 = self.utf8
        return try body(utf8.span)
    }
}

extension Span: ByteSource where Element == UInt8 {
    /// Calls a closure with the span itself.
    @inlinable
    public borrowing func withBytes<R: ~Copyable, E: Error>(
        _ body: (Span<UInt8>) throws(E) -> R
    ) throws(E) -> R { try body(self) }
}
