import Glibc
import StorageEngine

/// Writes to a store from several threads until it is killed, and says on standard output what was
/// acknowledged, a line each:
///
///     open SEQUENCE          the store is open and holds everything up to there, on disk
///     ack WRITER BATCH SEQUENCE POINT
///     failed WRITER CODE     the disk is gone, and with it the writer, or `open`
///
/// A line is one system call, so that a killed process leaves whole lines. It ends by being killed.
struct CrashWriter {
    let path: String

    func run() throws {
        let engine: Engine
        do throws(EngineError) {
            engine = try Engine.open(at: path, options: CrashWorkload.options)
        } catch {
            Self.say("failed open \(error.code)")
            pause()
            return
        }
        let snapshot = try engine.makeSnapshot()
        let counts = try (0..<CrashWorkload.writerCount).map { writer in
            try CrashWorkload(writer: writer).count(in: snapshot)
        }
        // Opening has synced everything that it found.
        Self.say("open \(engine.lastSequence)")
        let threads = counts.enumerated().map { writer, count in
            WorkerThread(name: "crash-\(writer)") {
                Self.write(CrashWorkload(writer: writer), behind: count, to: engine)
            }
        }
        for thread in threads { thread.join() }
        pause()
    }

    private static func write(_ workload: CrashWorkload, behind count: Int, to engine: Engine) {
        var batch = WriteBatch()
        var number = count
        do throws(EngineError) {
            while true {
                number += 1
                try workload.fill(&batch, number: number)
                let point = workload.ack(of: number)
                let sequence = try engine.write(batch, ack: point).position.sequence
                say("ack \(workload.writer) \(number) \(sequence) \(point)")
            }
        } catch {
            say("failed \(workload.writer) \(error.code)")
        }
    }

    private static func say(_ line: String) {
        var text = line + "\n"
        text.withUTF8 { bytes in
            let count = Glibc.write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
            precondition(count == bytes.count, "standard output takes whole lines")
        }
    }
}
