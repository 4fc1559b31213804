internal import Glibc

/// A failure of the tool itself: one sentence, and what to return.
package struct ToolError: Error, Sendable {
    /// Doing what, which file, which offset, found and expected.
    package let message: String
    package let exit: ToolExit

    package init(_ message: String, exit: ToolExit = .usage) {
        self.message = message
        self.exit = exit
    }

    /// What a failed system call says.
    package static func system(_ doing: String, errno code: Int32) -> ToolError {
        let reason = unsafe String(cString: strerror(code))
        return ToolError("\(doing): \(reason)", exit: .inputOutput)
    }
}

/// Whoever read standard output has closed it: the tool ends and says nothing.
package struct OutputClosed: Error {
    package init() {}
}

/// The tool ends with a code, and all that is to be said has been said.
package struct SilentExit: Error {
    package let exit: ToolExit

    package init(_ exit: ToolExit) { self.exit = exit }
}
