internal import Glibc
internal import StorageEngine
internal import ToolSupport

/// The database that rows use one behind the other, in one directory.
///
/// The directory is the store itself. A file in it marks it as made by this tool, and only a
/// directory with that file is ever emptied.
struct Database {
    let path: String
    private let settings: Settings
    private(set) var engine: Engine?

    static let markerName = "ENGINEBENCH"

    init(_ settings: Settings) throws {
        self.settings = settings
        if let directory = settings.directory {
            path = directory
            if !settings.usesExistingDatabase { try Self.checkReplaceable(directory) }
        } else {
            path = try TemporaryDirectory.make()
        }
    }

    /// Refuses a directory with anything in it that this tool did not make.
    private static func checkReplaceable(_ path: String) throws {
        guard let names = try Directory.names(at: path), !names.isEmpty else { return }
        guard names.contains(markerName) else {
            throw ToolError(
                "emptying \(path): found files but no \(markerName), expected a directory that is "
                    + "empty or was made by enginebench"
            )
        }
    }

    /// Removes the database, and opens a new one.
    mutating func openEmpty() throws -> Engine {
        try clear()
        let opened = try Engine.open(at: path, options: settings.engineOptions)
        try mark()
        engine = opened
        return opened
    }

    /// Removes the database, and leaves an empty directory for stores in directories of their own.
    mutating func makeEmpty() throws {
        try clear()
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw ToolError.system("making the directory \(path)", errno: errno)
        }
        try mark()
    }

    private mutating func clear() throws {
        try close()
        try Self.checkReplaceable(path)
        // The marker goes last: what is left by an interruption can be removed the next time.
        for name in try Directory.names(at: path) ?? [] where name != Self.markerName {
            try Directory.remove("\(path)/\(name)")
        }
        try Directory.remove("\(path)/\(Self.markerName)")
    }

    /// The database with keys in it: the one that is there, or one that is loaded now.
    mutating func openLoaded(_ values: ValueSource) throws -> Engine {
        if let engine { return engine }
        guard settings.usesExistingDatabase else {
            let opened = try openEmpty()
            try load(opened, values)
            return opened
        }
        let opened = try Engine.open(at: path, options: settings.engineOptions)
        engine = opened
        return opened
    }

    private func load(_ engine: Engine, _ values: ValueSource) throws {
        let context = JobContext(engine: engine, ack: .memory, settings: settings, values: values)
        let size = min(settings.num, 100)
        var job = PutBatchJob(context, .sequential, size: size, worker: 0)
        for _ in 0..<(settings.num + size - 1) / size { _ = try job.step() }
        try engine.sync()
    }

    private func mark() throws {
        let descriptor = unsafe open(
            "\(path)/\(Self.markerName)",
            O_WRONLY | O_CREAT | O_CLOEXEC,
            0o600
        )
        guard descriptor >= 0 else {
            throw ToolError.system("marking the directory \(path)", errno: errno)
        }
        Glibc.close(descriptor)
    }

    mutating func close() throws {
        guard let open = engine else { return }
        engine = nil
        try open.close()
    }
}
