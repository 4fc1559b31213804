/// The log files that are there, and what each of them holds: where to read from a sequence on.
///
/// The files are consecutive; recovery puts in what it found, the log writer what it begins and
/// finishes, and retention takes the oldest ones out before it removes them.
///
/// Thread safety: every method may be called from any thread.
package final class LogCatalog: @unchecked Sendable {
    package struct File: Sendable {
        package let header: LogFileHeader
        /// Where the file ends; `nil` while it is appended to.
        package var end: LogEnd?
        /// The last stamp in the file; 0 while it is appended to.
        package var lastStamp: UInt64
        /// Its restart frames; `nil` when nobody has looked yet.
        var restarts: RestartIndex?

        package init(header: LogFileHeader, end: LogEnd? = nil, lastStamp: UInt64 = 0) {
            self.header = header
            self.end = end
            self.lastStamp = lastStamp
            restarts = nil
        }

        package var number: UInt64 { header.fileNumber }
    }

    private let lock = Lock()
    // The lock.
    private var all: [File]
    /// Where the history behind the files begins.
    private var base: LogEnd

    /// - Parameters:
    ///   - files: Consecutive and finished, the oldest first.
    ///   - base: Where the history begins that will be written, when there is no file.
    package init(files: [File], base: LogEnd) {
        all = files
        self.base = files.first?.header.predecessor ?? base
    }

    /// The files, the oldest first.
    package var files: [File] { lock.with { all } }

    /// The end of what came before the oldest file: whoever has that much can read on from here.
    package var oldest: LogEnd { lock.with { base } }

    /// The ends of the finished files, ascending.
    var finishedEnds: [LogEnd] { lock.with { all.compactMap(\.end) } }

    /// The file that holds the first record behind a sequence, or will; `nil` when that is older
    /// than all of them, or none was begun.
    package func file(after sequence: UInt64) -> File? {
        lock.with { all.last { $0.header.predecessor.lastSequence <= sequence } }
    }

    /// The file of a number.
    func file(number: UInt64) -> File? { lock.with { index(of: number).map { all[$0] } } }

    private func index(of number: UInt64) -> Int? {
        guard let first = all.first?.number, number >= first, number - first < UInt64(all.count)
        else { return nil }
        return Int(number - first)
    }

    // MARK: - Changes

    /// Takes in a file that is appended to from now on; without its restart frames when they will
    /// not be noted.
    func begin(_ header: LogFileHeader, restarts: RestartIndex? = RestartIndex()) {
        lock.with {
            precondition(all.last.map { $0.number + 1 == header.fileNumber } ?? true)
            if all.isEmpty { base = header.predecessor }
            var file = File(header: header)
            file.restarts = restarts
            all.append(file)
        }
    }

    /// Takes the file out that was begun last, and has nothing in it.
    func removeCurrent() {
        lock.with {
            precondition(all.last?.end == nil, "a finished file is not the current one")
            _ = all.popLast()
        }
    }

    /// Takes in restart frames that were appended to a file.
    func note(_ points: [RestartIndex.Point], inFile number: UInt64) {
        lock.with {
            guard let index = index(of: number) else { return }
            for point in points { all[index].restarts?.append(point) }
        }
    }

    /// Takes in where the file that was appended to ends.
    func finish(_ end: LogEnd, lastStamp: UInt64) {
        lock.with {
            guard let index = index(of: end.fileNumber) else { return }
            all[index].end = end
            all[index].lastStamp = lastStamp
        }
    }

    /// Takes in the restart frames of a file that somebody has looked for.
    func learn(_ restarts: RestartIndex, ofFile number: UInt64) {
        lock.with {
            guard let index = index(of: number) else { return }
            all[index].restarts = restarts
        }
    }

    /// Takes files out that are about to be removed, up to a number, never the last one.
    func removeAll(through number: UInt64) {
        lock.with {
            let count = all.dropLast().prefix { $0.number <= number }.count
            guard count > 0 else { return }
            all.removeFirst(count)
            if let first = all.first { base = first.header.predecessor }
        }
    }
}
