internal import ArgumentParser
internal import Glibc
internal import StorageEngine
internal import ToolSupport

/// An ack point on the command line.
enum Ack: String, CaseIterable, ExpressibleByArgument {
    case memory, wal, disk

    var point: AckPoint {
        switch self {
        case .memory: .memory
        case .wal: .wal
        case .disk: .disk
        }
    }
}

struct Put: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Sets the value of a key; makes the store when there is none.",
        discussion: """
            Examples:
              enginectl --db DIR put user:1 Ada
              enginectl --db DIR put user:1 --value-file ada.json
              generate | enginectl --db DIR put user:1 -
            """
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The key.") var key: String
    @Argument(help: "The value; - reads it from standard input.") var value: String?
    @Option(help: "A file with the value.") var valueFile: String?
    @Option(help: "memory, wal or disk.") var ack = Ack.disk
    @Flag(help: "The key and the value are lowercase hexadecimal digits.") var hex = false

    func run() throws {
        let key = try KeyReader(hex: hex).bytes(key)
        let value = try readValue()
        let engine = try store.openForWriting(createIfMissing: true)
        try engine.put(value, for: key, ack: ack.point)
        try engine.close()
    }

    private func readValue() throws -> [UInt8] {
        switch (value, valueFile) {
        case (let text?, nil) where text != "-": return try KeyReader(hex: hex).bytes(text)
        case (_?, nil): return try wholeFile("-")
        case (nil, let path?): return try wholeFile(path)
        default: throw ToolError("reading the arguments: give a VALUE, - or --value-file, once")
        }
    }

    private func wholeFile(_ path: String) throws -> [UInt8] {
        let file = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw ToolError.system("opening \(path)", errno: errno) }
        defer { if path != "-" { close(file) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe read(file, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw ToolError.system("reading \(path)", errno: errno) }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= Limits.valueSize else {
                throw ToolError("reading \(path): more than \(Limits.valueSize) bytes")
            }
        }
    }
}

struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Removes keys, all at once.",
        discussion: "Example: enginectl --db DIR delete user:1 user:2"
    )

    @ParentCommand var store: EngineCtl
    @Argument(help: "The keys.") var keys: [String]
    @Option(help: "memory, wal or disk.") var ack = Ack.disk
    @Flag(help: "The keys are lowercase hexadecimal digits.") var hex = false

    func validate() throws {
        guard !keys.isEmpty else { throw ValidationError("give a key") }
    }

    func run() throws {
        var batch = WriteBatch()
        for key in keys { try batch.delete(KeyReader(hex: hex).bytes(key)) }
        let engine = try store.openForWriting(createIfMissing: false)
        try engine.write(batch, ack: ack.point)
        try engine.close()
    }
}
