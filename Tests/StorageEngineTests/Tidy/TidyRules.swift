/// A place that breaks a rule.
struct Finding: CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): \(message)" }
}

/// The layers of the engine: a folder uses only itself and the folders before it.
enum LayerRule {
    static let layers = [
        "Base", "Threads", "Files", "Log", "Recovery", "MemoryIndex",
        "Segment", "Merge", "Manifest",
        "Inspect", "Compaction", "Backup", "ChangeFeed", "Commit", "Engine", "Repair",
    ]
    /// May use what is before it, but nothing in the engine uses it; only repairs do.
    static let onlooker = "Inspect"

    static func findings(in files: [SourceFile]) -> [Finding] {
        let strangers = files.filter { !layers.contains($0.layer ?? "") }.map { file in
            Finding(path: file.path, line: 1, message: "not in a folder that is a layer")
        }
        return strangers + layers.flatMap { findings(of: $0, in: files) }
    }

    private static func findings(of layer: String, in files: [SourceFile]) -> [Finding] {
        let allowed = usable(by: layer)
        var known: Set<String> = []
        var forbidden: [String: String] = [:]
        for file in files {
            guard let other = file.layer else { continue }
            if allowed.contains(other) {
                known.formUnion(file.outline.declaredNames)
            } else {
                for name in file.outline.topLevelNames { forbidden[name] = other }
            }
        }
        // A name that a usable folder declares too, nested or not, says nothing.
        for name in known { forbidden[name] = nil }
        return files.filter { $0.layer == layer }.flatMap { file in
            mentions(of: forbidden, in: file)
        }
    }

    private static func usable(by layer: String) -> Set<String> {
        let mayLookOn = layer == layers.last
        let before = layers.prefix { $0 != layer }.filter { mayLookOn || $0 != onlooker }
        return Set(before + [layer])
    }

    private static func mentions(
        of forbidden: [String: String],
        in file: SourceFile
    ) -> [Finding] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            guard let layer = forbidden[tokens[index].text] else { return nil }
            let isMember = index > 0 && tokens[index - 1].text == "."
            let isLabel = index + 1 < tokens.count && tokens[index + 1].text == ":"
            let isType = tokens[index].text.first?.isUppercase ?? false
            guard isType || !(isMember || isLabel) else { return nil }
            return Finding(
                path: file.path,
                line: tokens[index].line,
                message: "uses \(tokens[index].text) of \(layer)/, which is above"
            )
        }
    }
}

/// How large things may be.
enum SizeRule {
    static let columnsMax = 100
    static let functionLinesMax = 70
    static let parametersMax = 6
    static let nestingMax = 4
    static let typeBodyLinesMax = 350
    static let fileLinesMax = 500
    static let testFileLinesMax = 800
    static let folderFilesMax = 12

    static func findings(in file: SourceFile) -> [Finding] {
        var findings: [Finding] = []
        func check(_ line: Int, _ what: String, _ count: Int, _ most: Int, _ unit: String) {
            guard count > most else { return }
            findings.append(
                Finding(
                    path: file.path,
                    line: line,
                    message: "\(what) has \(count) \(unit), at most \(most) are allowed"
                )
            )
        }
        for (index, line) in file.lines.enumerated() {
            check(index + 1, "line", line.count, columnsMax, "columns")
        }
        for function in file.outline.functions {
            let (line, name) = (function.line, function.name)
            check(line, name, function.lineCount, functionLinesMax, "lines")
            check(line, name, function.parameterCount, parametersMax, "parameters")
            check(line, name, function.nesting, nestingMax, "nested blocks")
        }
        for body in file.outline.typeBodies {
            check(body.line, body.name, body.lineCount, typeBodyLinesMax, "lines")
        }
        let most = file.path.hasPrefix("Tests/") ? testFileLinesMax : fileLinesMax
        check(1, "file", file.lineCount, most, "lines")
        if let line = file.outline.unbalancedLine {
            findings.append(Finding(path: file.path, line: line, message: "braces do not match"))
        }
        return findings
    }

    /// Checks how many files each folder holds, without those in its subfolders.
    static func findings(inFoldersOf paths: [String]) -> [Finding] {
        let folders = Dictionary(grouping: paths) { path in
            path.split(separator: "/").dropLast().joined(separator: "/")
        }
        return folders.sorted { $0.key < $1.key }.compactMap { folder, files in
            guard files.count > folderFilesMax else { return nil }
            return Finding(
                path: folder,
                line: 0,
                message: "folder has \(files.count) files, at most \(folderFilesMax) are allowed"
            )
        }
    }
}

/// What the engine's code never says.
enum WordRule {
    /// Time and randomness come from the environment that `open` is given.
    private static let environmentWords: Set = [
        "Date", "ContinuousClock", "SuspendingClock", "UUID", "SystemRandomNumberGenerator",
        "clock_gettime", "gettimeofday", "getrandom",
    ]
    private static let fileWords: Set = [
        "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir",
    ]

    static func findings(in file: SourceFile) -> [Finding] {
        let tokens = file.tokens
        let inCode = tokens.indices.compactMap { index -> Finding? in
            let following = index + 1 < tokens.count ? tokens[index + 1].text : ""
            guard let message = complaint(tokens[index].text, following, in: file) else {
                return nil
            }
            return Finding(path: file.path, line: tokens[index].line, message: message)
        }
        let inText = file.lines.indices.compactMap { index -> Finding? in
            guard let word = ["TODO", "FIXME"].first(where: { file.lines[index].contains($0) })
            else { return nil }
            return Finding(path: file.path, line: index + 1, message: word)
        }
        return inCode + inText
    }

    private static func complaint(
        _ word: String,
        _ following: String,
        in file: SourceFile
    ) -> String? {
        switch word {
        case "import" where following.hasPrefix("Foundation"): "imports \(following)"
        case "try" where following == "?" || following == "!": "try\(following)"
        case "fatalError": "fatalError: a broken invariant is a precondition"
        case _ where environmentWords.contains(word) && !isEnvironment(file):
            "\(word): time and randomness come from the environment"
        case _ where fileWords.contains(word) && following == "(" && file.layer != "Files":
            "calls \(word): only Files/ renames and removes"
        default: nil
        }
    }

    /// Whether the file may read time and draw random numbers.
    private static func isEnvironment(_ file: SourceFile) -> Bool {
        switch file.layer {
        case "Threads": true
        case "Files": file.name.hasPrefix("Posix") || file.name.hasPrefix("Environment")
        default: false
        }
    }
}

/// What the documents must say.
enum DocumentRule {
    static let readmeLinesMax = 150

    /// The folders, among those of the given source files, that a document does not name.
    static func foldersMissing(in document: String, paths: [String]) -> [String] {
        let folders = paths.compactMap { path -> Substring? in
            let components = path.split(separator: "/")
            return components.count > 2 ? components[components.count - 2] : nil
        }
        return Set(folders).sorted().filter { folder in
            folder != "include" && !document.contains("\(folder)/")
                && !document.contains("`\(folder)`")
        }.map(String.init)
    }
}
