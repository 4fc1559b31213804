import StorageEngine

/// Reads the fields of one frame; what is missing or not as it must be is a failure.
struct FieldReader {
    private var reader: ByteReader
    private let type: FrameType

    init(_ bytes: UnsafeRawBufferPointer, of type: FrameType) {
        reader = unsafe ByteReader(bytes)
        self.type = type
    }

    var failure: WireFailure { .malformed(type) }

    var remaining: Int { reader.remaining }

    private func present<Value>(_ value: Value?) throws(WireFailure) -> Value {
        guard let value else { throw failure }
        return value
    }

    mutating func byte() throws(WireFailure) -> UInt8 { try present(reader.byte()) }
    mutating func uint32() throws(WireFailure) -> UInt32 { try present(reader.uint32()) }
    mutating func uint64() throws(WireFailure) -> UInt64 { try present(reader.uint64()) }
    mutating func uniqueID() throws(WireFailure) -> UniqueID { try present(reader.uniqueID()) }

    mutating func flag() throws(WireFailure) -> Bool {
        switch try byte() {
        case 0: false
        case 1: true
        default: throw failure
        }
    }

    mutating func code<Value: RawRepresentable<UInt8>>() throws(WireFailure) -> Value {
        try present(Value(rawValue: try byte()))
    }

    mutating func epoch() throws(WireFailure) -> Epoch {
        Epoch(number: try uint64(), starter: try uint64())
    }

    mutating func tail() throws(WireFailure) -> Tail {
        Tail(epoch: try epoch(), sequence: try uint64(), logHash: try uint64())
    }

    mutating func optional<Value>(
        _ read: (inout FieldReader) throws(WireFailure) -> Value
    ) throws(WireFailure) -> Value? {
        try flag() ? try read(&self) : nil
    }

    /// Reads a counted list; memory is taken once all of it is known to be there.
    mutating func list<Value>(
        max: Int,
        itemSize: Int,
        _ read: (inout FieldReader) throws(WireFailure) -> Value
    ) throws(WireFailure) -> [Value] {
        let count = Int(try uint32())
        guard count <= max, count * itemSize <= reader.remaining else { throw failure }
        var list: [Value] = []
        list.reserveCapacity(count)
        for _ in 0..<count { list.append(try read(&self)) }
        return list
    }

    /// Nothing may be left.
    func end() throws(WireFailure) {
        guard reader.remaining == 0 else { throw failure }
    }
}

extension UniqueID {
    static let wireSize = 16
}

extension Epoch {
    static let wireSize = 16
}

extension EpochEntry {
    static let wireSize = 32
}

extension MemberReport {
    static let wireSize = 80
}
