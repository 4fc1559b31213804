internal import StorageEngine

/// Something that happened to a file of a store while nobody looked.
package enum Damage: Sendable, CustomStringConvertible {
    case flip(String, at: UInt64)
    case zero(String, Range<UInt64>)
    case truncate(String, to: UInt64)
    case swap(String, String)
    case delete(String)
    /// A copy under a number that no file of the kind has, or in the place of one that has it.
    case duplicate(String, as: String)

    package var description: String {
        switch self {
        case .flip(let name, let offset): "\(name): bit \(offset % 8) of byte \(offset) flipped"
        case .zero(let name, let range): "\(name): bytes \(range) zeroed"
        case .truncate(let name, let size): "\(name): cut to \(size) bytes"
        case .swap(let name, let other): "\(name) and \(other) swapped"
        case .delete(let name): "\(name) deleted"
        case .duplicate(let name, let other): "\(name) copied to \(other)"
        }
    }

    /// The kind, for counts.
    package var kind: String {
        switch self {
        case .flip: "flip"
        case .zero: "zero"
        case .truncate: "truncate"
        case .swap: "swap"
        case .delete: "delete"
        case .duplicate: "duplicate"
        }
    }

    /// Damages a store on a simulated disk.
    package func apply(to fileSystem: SimulatedFileSystem) throws {
        let directory = try StoreDirectory.open(
            path: SampleStore.directory,
            in: fileSystem
        )
        switch self {
        case .flip(let name, let offset):
            // An earlier damage may have taken the place away.
            guard try has(name, directory, behind: offset) else { return }
            let file = try directory.open(try Self.parse(name), for: .readWrite)
            let bytes = try file.read(count: 1, at: offset)
            try file.writeFully(bytes.map { $0 ^ (1 << UInt8(offset % 8)) }, at: offset)
        case .zero(let name, let range):
            guard try has(name, directory, behind: range.upperBound - 1) else { return }
            let file = try directory.open(try Self.parse(name), for: .readWrite)
            let zeros = [UInt8](repeating: 0, count: Int(range.upperBound - range.lowerBound))
            try file.writeFully(zeros, at: range.lowerBound)
        case .truncate(let name, let size):
            guard try has(name, directory, behind: size) else { return }
            try directory.open(try Self.parse(name), for: .readWrite).truncate(to: size)
        case .swap(let name, let other):
            guard try has(name, directory), try has(other, directory) else { return }
            let (left, right) = try (read(name, directory), read(other, directory))
            try replace(other, with: left, directory)
            try replace(name, with: right, directory)
        case .delete(let name): try directory.durableRemove([try Self.parse(name)])
        case .duplicate(let name, let other):
            guard try has(name, directory) else { return }
            try replace(other, with: try read(name, directory), directory)
        }
    }

    private static func parse(_ name: String) throws -> FileName {
        guard let parsed = FileName(parsing: name) else {
            throw SimulationFailure("\(name) is no name of a store's file")
        }
        return parsed
    }

    private func has(
        _ name: String,
        _ directory: StoreDirectory,
        behind offset: UInt64? = nil
    ) throws -> Bool {
        guard let file = try directory.openIfPresent(try Self.parse(name), for: .read) else {
            return false
        }
        return try offset.map { $0 < (try file.size()) } ?? true
    }

    private func read(_ name: String, _ directory: StoreDirectory) throws -> [UInt8] {
        let file = try directory.open(try Self.parse(name), for: .read)
        return try file.read(count: Int(file.size()), at: 0)
    }

    private func replace(_ name: String, with bytes: [UInt8], _ directory: StoreDirectory) throws {
        let name = try Self.parse(name)
        if try directory.openIfPresent(name, for: .read) != nil, name != .lock {
            try directory.durableRemove([name])
        }
        try directory.durableCreate(name, contents: bytes)
    }
}
