internal import Glibc
internal import StorageEngine
internal import ToolSupport

/// What figures depend on, as name and value, in the order of printing.
struct SettingsList: Sendable {
    let members: [(name: String, value: JSON)]

    init(_ settings: Settings, directory: String, fileSystem: FileSystemType) {
        members =
            Self.surroundings(directory, fileSystem) + Self.options(settings.engineOptions)
            + Self.workload(settings)
    }

    var json: JSON { .object([("settings", .object(members))]) }

    private static func surroundings(
        _ directory: String,
        _ fileSystem: FileSystemType
    ) -> [(name: String, value: JSON)] {
        [
            ("version", .string(toolVersion)),
            ("build", .string(buildName)),
            ("kernel", .string(kernelRelease)),
            ("processors", .integer(sysconf(Int32(_SC_NPROCESSORS_ONLN)))),
            ("directory", .string(directory)),
            ("fileSystem", .string(fileSystem.name)),
        ]
    }

    private static func options(_ options: Engine.Options) -> [(name: String, value: JSON)] {
        [
            ("syncIntervalMilliseconds", .number(milliseconds(options.syncInterval))),
            ("memoryWindowBytes", .integer(options.memoryWindow)),
            ("memoryDelayMilliseconds", .number(milliseconds(options.memoryDelay))),
            ("logFileSizeBytes", .integer(Int(options.logFileSize))),
            ("cacheSizeBytes", .integer(options.cacheSize)),
            ("writeBufferSizeBytes", .integer(options.writeBufferSize)),
        ]
    }

    private static func workload(_ settings: Settings) -> [(name: String, value: JSON)] {
        var members: [(name: String, value: JSON)] = [
            ("num", .integer(settings.num)),
            ("reads", .integer(settings.reads)),
            ("keySizeBytes", .integer(settings.keySize)),
            ("valueSizeBytes", .integer(settings.valueSize)),
            ("valueSizes", .string(settings.valueSizes.rawValue)),
            ("compressionRatio", .number(settings.compressionRatio)),
            ("seed", .string(String(settings.seed))),
            ("usesExistingDatabase", .boolean(settings.usesExistingDatabase)),
        ]
        if let size = settings.batchSize { members.append(("batchSize", .integer(size))) }
        if let seconds = settings.duration { members.append(("durationSeconds", .number(seconds))) }
        if let rate = settings.rate { members.append(("rate", .number(rate))) }
        if let rate = settings.writeRate { members.append(("writeRate", .number(rate))) }
        if settings.benchmarks.contains(where: \.isReplicated) {
            members.append(("followers", .integer(settings.followers)))
        }
        if settings.warmup > 0 { members.append(("warmupSeconds", .number(settings.warmup))) }
        return members
    }

    private static var buildName: String {
        #if DEBUG
        "debug"
        #else
        "release"
        #endif
    }

    private static var kernelRelease: String {
        var name = utsname()
        guard unsafe uname(&name) == 0 else { return "unknown" }
        return unsafe withUnsafePointer(to: &name.release) { field in
            unsafe field.withMemoryRebound(to: CChar.self, capacity: 65) { characters in
                unsafe String(cString: characters)
            }
        }
    }

    private static func milliseconds(_ duration: Duration) -> Double { duration / .milliseconds(1) }
}
