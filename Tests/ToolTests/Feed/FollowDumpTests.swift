import Foundation
import StorageEngine
import Testing

/// `enginedump wal --follow`, beside an engine of this process.
struct FollowDumpTests {
    private let scratch: ScratchDirectory
    private var store: String { scratch.path + "/store" }

    init() throws { scratch = try ScratchDirectory() }

    private func open() throws -> Engine { try Engine.open(at: store) }

    private func write(_ engine: Engine, _ numbers: ClosedRange<Int>) throws {
        for number in numbers { try engine.put("\(number)", for: "k\(number)", ack: .wal) }
    }

    /// The tool, running, and the end of the pipe where its lines come out.
    private func start(_ arguments: String...) throws -> (Process, Foundation.FileHandle) {
        let process = Tool.process("enginedump", ["wal", store, "--follow"] + arguments)
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        try output.fileHandleForWriting.close()
        return (process, output.fileHandleForReading)
    }

    /// Reads up to the end of a line.
    private func line(_ handle: Foundation.FileHandle) throws -> String {
        var bytes = Data()
        while let byte = try handle.read(upToCount: 1), byte != Data("\n".utf8) { bytes += byte }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func recordsComeAsTheyAreAppendedFromFileToFile() throws {
        var engine = try open()
        try write(engine, 1...5)
        let (process, output) = try start("--from-seq", "5", "--to-seq", "600", "--no-values")
        // It runs, and has nothing more to print now.
        #expect(try line(output).contains("sequence=5 "))

        try write(engine, 6...200)
        for start in [201, 401] {
            // Each opening begins a log file.
            try engine.close()
            engine = try open()
            try write(engine, start...start + 199)
        }
        let rest = String(decoding: try output.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()

        let records = rest.split(separator: "\n").filter { $0.contains(" record ") }
        let sequences = records.compactMap { line in
            line.split(separator: " ").first { $0.hasPrefix("sequence=") }.map { $0.dropFirst(9) }
        }
        #expect(process.terminationStatus == 0)
        #expect(sequences.map(String.init) == (6...600).map(String.init))
        let files = Set(records.compactMap { $0.split(separator: ":").first })
        #expect(files.count == 3)
        try engine.close()
    }

    @Test func whoeverClosesTheOutputEndsIt() throws {
        let engine = try open()
        try write(engine, 1...1)
        let (process, output) = try start("--format", "json")
        #expect(try line(output).contains(#""sequence":1,"#))

        try output.close()
        process.waitUntilExit()

        #expect(process.terminationStatus == 0)
        try engine.close()
    }

    @Test func aLimitEndsIt() throws {
        let engine = try open()
        try write(engine, 1...10)
        let (process, output) = try start("--limit", "3")

        let text = String(decoding: try output.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()

        #expect(process.terminationStatus == 0)
        #expect(text.split(separator: "\n").count == 3)
        try engine.close()
    }

    @Test func whatItCannotDoIsRefused() throws {
        for arguments in [["--check"], ["--only-gaps"], [scratch.path]] {
            let tool = try Tool(
                "enginedump",
                ["wal", store, "--follow"] + arguments,
                in: scratch
            )
            #expect(tool.status == 1, "\(arguments)")
        }
    }
}
