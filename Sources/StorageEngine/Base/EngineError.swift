/// What went wrong in the engine, and where.
///
/// Disk, system and caller input throw this error; a broken invariant of the engine itself traps.
/// The ``message`` is one sentence for an operator: doing what, which file, which offset, found
/// versus expected. It never holds keys or values.
public struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure that a caller can tell apart.
    @nonexhaustive
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// Bytes on disk are not what was written. Nothing was changed.
        case corruption
        /// A file of the log is missing, or its predecessor is not the one that was written.
        case logGap
        /// The system refused or failed a call; ``EngineError/errno`` says how.
        case io
        /// The disk is full. Nothing of the refused write is in the store.
        case noSpace
        /// Another engine has the directory open.
        case locked
        /// The directory holds something else than a store, or no store at all.
        case notAStore
        /// The files were written by a newer format or with a feature unknown here.
        case unsupportedFormat
        /// An argument is outside its limits, or a call is not possible in this state.
        case invalidArgument
        /// The write may or may not be there after a restart.
        case indeterminate
        /// An earlier sync or append failed; writes are refused until the store is reopened.
        case poisoned
        /// Flushes or compactions are behind, and the engine was told not to make writes wait.
        case stalled
        /// The log does not go back to that position any more; ``EngineError/sequence`` says where
        /// the oldest one is that can be asked for.
        case trimmed
        /// The position is of another history than this store's: a record of that sequence, epoch
        /// and hash was never here, or is not any more.
        case diverged
        /// The position is behind the end of this store's history, which ``EngineError/sequence``
        /// names.
        case ahead
        /// A record does not follow the last one.
        case gap
        /// What is to be undone is in segments already: a whole copy must be made anew.
        case copyNeeded
        /// A leader of a later epoch is known: records of an earlier one, or of another of the same
        /// number, are not taken any more.
        case fenced
        /// The store holds another history than the one that it is to follow.
        case wrongStore
        /// The store follows a leader, and takes no writes of its own.
        case notLeader
        /// The engine was opened read-only.
        case readOnly
        /// The engine is closed.
        case closed
    }

    /// The kind of failure.
    public let code: Code
    /// One sentence for an operator.
    public let message: String
    /// The file concerned, relative to the store's directory; `nil` when no file is.
    public let file: String?
    /// The offset in ``file``, in bytes; `nil` when unknown.
    public let offset: UInt64?
    /// The system's error number, when a system call failed.
    public let errno: Int32?
    /// The sequence concerned, for codes that name one; `nil` for others.
    public let sequence: UInt64?

    package init(
        _ code: Code,
        _ message: String,
        file: String? = nil,
        offset: UInt64? = nil,
        errno: Int32? = nil,
        sequence: UInt64? = nil
    ) {
        self.code = code
        self.message = message
        self.file = file
        self.offset = offset
        self.errno = errno
        self.sequence = sequence
    }

    /// The message, with file, offset and error number.
    public var description: String {
        var text = message
        if let file { text += ", file \(file)" }
        if let offset { text += ", offset \(offset)" }
        if let errno { text += ", errno \(errno)" }
        return "\(code.rawValue): \(text)"
    }

    package static func corruption(
        _ message: String,
        file: String,
        offset: UInt64
    ) -> EngineError {
        EngineError(.corruption, message, file: file, offset: offset)
    }

    package static func invalidArgument(_ message: String) -> EngineError {
        EngineError(.invalidArgument, message)
    }

    package static let closed = EngineError(.closed, "the engine is closed")
}
