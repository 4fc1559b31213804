package import Logging

extension Logger {
    /// Writes warnings and errors of the engine to standard error; what is less only when the
    /// logger's level says so.
    package static var tool: Logger {
        Logger(label: "StorageEngine") { _ in ToolLogHandler() }
    }
}

private struct ToolLogHandler: LogHandler {
    var logLevel = Logger.Level.warning
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
        let details = all.sorted { $0.key < $1.key }.map { ", \($0.key) \($0.value)" }.joined()
        let kind: String =
            switch event.level {
            case .critical, .error: "error"
            case .warning: "warning"
            default: "notice"
            }
        ToolOutput.complain("\(kind): \(event.message)\(details)")
    }
}
