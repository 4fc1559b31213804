internal import StorageEngine

/// A hash of everything that a program did to a file system and was told by it, to find out whether
/// two runs of the same seed did the same (XXH3-64, each step seeded with the hash before it).
struct TraceHash: Sendable {
    private(set) var value: UInt64 = 0

    mutating func add(_ number: Int) {
        value = withUnsafeBytes(of: UInt64(bitPattern: Int64(number)).littleEndian) {
            Checksum.xxh3($0, seed: value)
        }
    }

    mutating func add(_ call: SimulatedCall, _ name: String) {
        add(call.rawValue)
        add(name)
    }

    mutating func add(_ operation: SimulatedOperation) {
        switch operation {
        case .makeDirectory(let node, let parent, let name):
            add("makeDirectory", node, parent, name)
        case .create(let node, let parent, let name): add("create", node, parent, name)
        case .write(let node, let offset, let bytes):
            add("write", node, Int(offset))
            value = bytes.withUnsafeBytes { Checksum.xxh3($0, seed: value) }
        case .truncate(let node, let size): add("truncate", node, Int(size))
        case .allocate(let node, let size): add("allocate", node, Int(size))
        case .rename(let directory, let source, let target):
            add("rename", directory, 0, source)
            add(target)
        case .unlink(let directory, let name): add("unlink", directory, 0, name)
        case .link(let node, let directory, let name): add("link", node, directory, name)
        case .removeDirectory(let parent, let name): add("removeDirectory", parent, 0, name)
        case .sync(let node): add("sync", node)
        case .failedSync(let node, let reverts): add("failedSync", node, reverts ? 1 : 0)
        case .syncDirectory(let node): add("syncDirectory", node)
        }
    }

    private mutating func add(_ kind: String, _ first: Int, _ second: Int = 0, _ name: String = "")
    {
        add(kind)
        add(first)
        add(second)
        if !name.isEmpty { add(name) }
    }

    mutating func add(_ text: String) {
        var text = text
        value = text.withUTF8 { Checksum.xxh3(UnsafeRawBufferPointer($0), seed: value) }
    }
}
