package import StorageEngine

/// Who speaks, and what it understands.
package struct Greeting: Hashable, Sendable {
    package var versions = WireFormat.versions
    /// Whoever does not know one of them must not go on.
    package var requiredFeatures: UInt64 = 0
    package var ignorableFeatures: UInt64 = 0
    /// Of the member, whatever history it follows.
    package var member: UniqueID
    /// The most bytes of a body that it takes.
    package var bodySizeMax: Int

    package init(member: UniqueID, bodySizeMax: Int) {
        self.member = member
        self.bodySizeMax = bodySizeMax
    }

    /// The version to speak with whoever greets like this.
    ///
    /// - Throws: When there is none, or a feature is needed that is not known here.
    package func agreedVersion() throws(WireFailure) -> UInt8 {
        let own = WireFormat.versions
        let highest = min(versions.upperBound, own.upperBound)
        guard versions.contains(highest), own.contains(highest) else {
            throw .unsupportedVersions(min: versions.lowerBound, max: versions.upperBound)
        }
        let unknown = requiredFeatures & ~WireFormat.knownFeatures
        guard unknown == 0 else { throw .unsupportedFeatures(unknown) }
        return UInt8(truncatingIfNeeded: highest)
    }

    /// The whole frame.
    package func encoded() -> [UInt8] {
        var body = ByteBuffer()
        body.append(WireFormat.magic)
        body.append(versions.lowerBound)
        body.append(versions.upperBound)
        body.append(requiredFeatures)
        body.append(ignorableFeatures)
        body.append(member)
        body.append(UInt32(bodySizeMax))
        return WireFrame.encoded(.greeting, body)
    }

    init(_ fields: inout FieldReader) throws(WireFailure) {
        guard try fields.uint64() == WireFormat.magic else { throw .notGreeting }
        let (lowest, highest) = (try fields.uint32(), try fields.uint32())
        guard lowest <= highest else { throw .malformed(.greeting) }
        versions = lowest...highest
        requiredFeatures = try fields.uint64()
        ignorableFeatures = try fields.uint64()
        member = try fields.uniqueID()
        let size = Int(try fields.uint32())
        guard size >= WireFormat.bodySizes.lowerBound else { throw .malformed(.greeting) }
        bodySizeMax = min(size, WireFormat.bodySizes.upperBound)
    }
}

extension Rejection {
    /// The whole frame.
    package func encoded() -> [UInt8] {
        var body = ByteBuffer()
        body.append(rawValue)
        return WireFrame.encoded(.rejection, body)
    }

    init(_ fields: inout FieldReader) throws(WireFailure) {
        self = Rejection(rawValue: try fields.byte()) ?? .other
    }
}
