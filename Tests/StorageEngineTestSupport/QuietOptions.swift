import Logging
package import StorageEngine

extension Engine.Options {
    /// The defaults, with a logger that says nothing.
    package static var quiet: Engine.Options {
        var options = Engine.Options()
        options.logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return options
    }
}
