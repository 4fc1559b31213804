internal import Glibc

/// The project's own files, as they lie on disk.
enum SourceTree {
    /// The package's folder.
    static let root: String = {
        let components = #filePath.split(separator: "/")
        return "/" + components.dropLast(4).joined(separator: "/")
    }()

    /// Every Swift file below Sources and Tests, sorted by path.
    static let swiftFiles: [SourceFile] = (files(below: "Sources") + files(below: "Tests"))
        .filter { $0.hasSuffix(".swift") }
        .compactMap { path in text(of: path).map { SourceFile(path: path, text: $0) } }

    /// The engine's own Swift files.
    static let engineFiles = swiftFiles.filter { $0.path.hasPrefix("Sources/StorageEngine/") }

    /// The paths of all files below a folder, relative to the root, sorted; hidden ones left out.
    static func files(below folder: String) -> [String] {
        var found: [String] = []
        var folders = [folder]
        while let folder = folders.popLast() {
            for (name, isFolder) in entries(of: folder) where !name.hasPrefix(".") {
                let path = "\(folder)/\(name)"
                if isFolder { folders.append(path) } else { found.append(path) }
            }
        }
        return found.sorted()
    }

    /// A file's text, or `nil` where there is no such file.
    static func text(of path: String) -> String? {
        guard let file = fopen("\(root)/\(path)", "r") else { return nil }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func entries(of folder: String) -> [(name: String, isFolder: Bool)] {
        guard let directory = opendir("\(root)/\(folder)") else { return [] }
        defer { closedir(directory) }
        var entries: [(name: String, isFolder: Bool)] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            var status = stat()
            stat("\(root)/\(folder)/\(name)", &status)
            entries.append((name, status.st_mode & S_IFMT == S_IFDIR))
        }
        return entries
    }
}

/// A Swift file with what the checks need to know about it.
struct SourceFile: Sendable {
    /// Relative to the package's root, as in `Sources/StorageEngine/Base/LZ4.swift`.
    let path: String
    let lines: [Substring]
    let tokens: [SourceToken]
    let outline: SourceOutline

    init(path: String, text: String) {
        var stripper = CommentStripper(Array(text.utf8))
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        tokens = SourceToken.tokens(of: stripper.strippedCode())
        var scanner = OutlineScanner(tokens)
        outline = scanner.scanned()
    }

    /// How many lines the file has; the empty text behind the last newline is none.
    var lineCount: Int { lines.last == "" ? lines.count - 1 : lines.count }

    /// The folder below Sources/StorageEngine, or `nil` for files elsewhere.
    var layer: String? {
        let components = path.split(separator: "/")
        guard components.count > 3, components.starts(with: ["Sources", "StorageEngine"]) else {
            return nil
        }
        return String(components[2])
    }

    var name: Substring { path.split(separator: "/").last ?? "" }
}
