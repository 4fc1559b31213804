package import StorageEngine

/// The version of all tools.
package let toolVersion = "0.1.0"

/// What the tools return to the shell.
package enum ToolExit: Int32, Sendable {
    case success = 0
    case usage = 1
    case corruption = 2
    /// A gap, a divergence, or differences that were found.
    case gap = 3
    case inputOutput = 4
    case other = 5
    case keyNotFound = 6
}

extension EngineError {
    /// What the shell is told when a tool ends with this error.
    package var toolExit: ToolExit {
        switch code {
        case .corruption: .corruption
        case .logGap: .gap
        case .io, .noSpace: .inputOutput
        case .invalidArgument: .usage
        default: .other
        }
    }
}
