import Glibc
import StorageEngine
import StorageEngineTestSupport

// Processes that are killed: each writes to a store, and consumes what it writes through a slot,
// at any moment SIGKILL ends both. What a slot is lives in the process that has the store open, so
// the consumer is a thread of it; what it has consumed it appends to a file before it acknowledges.
//
//   file := (sequence:u64 previousSequence:u64 logHash:u64)*
//
// The file is checked against the log: it holds every write once after those that came again were
// dropped by their positions, and what came again is the same write.

/// A line of the consumer's file.
private struct Consumed: Equatable {
    let sequence, previousSequence, logHash: UInt64

    init(_ record: ChangeRecord) {
        sequence = record.position.sequence
        previousSequence = record.previousSequence
        logHash = record.position.logHash ?? 0
    }
}

/// The process that is killed.
struct FeedChild {
    let path: String

    private static let slot = "consumer"
    private static let ackDistance = 64

    fileprivate static var options: Engine.Options {
        var options = Engine.Options()
        options.logFileSize = 1 << 20
        options.writeBufferSize = 2 << 20
        // The whole history is compared in the end.
        options.retainedLogSize = .max
        return options
    }

    fileprivate var output: String { path + ".consumed" }

    /// Runs until it is killed.
    func run() throws {
        let engine = try Engine.open(at: path, options: Self.options)
        if engine.slots.isEmpty { try engine.createSlot(Self.slot, after: .start) }
        let thread = WorkerThread(name: "feed-consumer") {
            do { try consume(engine, through: .max) } catch {
                print("consuming: \(error)")
                exit(1)
            }
        }
        thread.detach()
        var batch = WriteBatch()
        while true {
            let number = engine.lastSequence + 1
            try FeedHistory.fill(number, &batch)
            try engine.write(batch, ack: AckPoint.allCases[Int(number % 17 == 0 ? 2 : number % 2)])
        }
    }

    /// Reads on from the slot: writes out, then acknowledges.
    fileprivate func consume(_ engine: Engine, through end: UInt64) throws {
        let descriptor = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw SimulationFailure("opening \(output): \(errno)") }
        defer { close(descriptor) }
        // A write that was cut short by the kill.
        let size = lseek(descriptor, 0, SEEK_END)
        let stride = MemoryLayout<Consumed>.stride
        guard ftruncate(descriptor, size / stride * stride) == 0 else {
            throw SimulationFailure("cutting \(output): \(errno)")
        }
        var cursor = try engine.changeCursor(slot: Self.slot, upTo: .wal)
        var lines: [Consumed] = []
        while cursor.position.sequence < end {
            if try cursor.next(waits: lines.isEmpty) {
                lines.append(Consumed(cursor.record))
                guard lines.count >= Self.ackDistance || cursor.position.sequence >= end else {
                    continue
                }
            }
            let size = lines.count * stride
            guard lines.withUnsafeBytes({ write(descriptor, $0.baseAddress, size) }) == size else {
                throw SimulationFailure("writing \(output): \(errno)")
            }
            lines.removeAll(keepingCapacity: true)
            try engine.acknowledge(cursor.position, slot: Self.slot)
        }
    }

    /// What was written out.
    fileprivate func consumed() throws -> [Consumed] {
        let descriptor = open(output, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SimulationFailure("opening \(output): \(errno)") }
        defer { close(descriptor) }
        let count = Int(lseek(descriptor, 0, SEEK_END)) / MemoryLayout<Consumed>.stride
        return try [Consumed](unsafeUninitializedCapacity: count) { buffer, found in
            var done = 0
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            while done < bytes.count, let start = bytes.baseAddress {
                let size = pread(descriptor, start + done, bytes.count - done, done)
                guard size > 0 else { throw SimulationFailure("reading \(output): \(errno)") }
                done += size
            }
            found = count
        }
    }
}

/// Starts the process and kills it, again and again, and checks what was consumed.
struct FeedKill {
    let rounds: Int
    let path: String

    func run() throws {
        var generator = SeededGenerator(seed: 1)
        let child = FeedChild(path: path)
        for round in 1...rounds {
            let process = try start()
            usleep(UInt32.random(in: 20_000...500_000, using: &generator))
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
            guard status & 0x7f == SIGKILL else {
                throw SimulationFailure("round \(round): the process ended with \(status)")
            }
        }
        let engine = try Engine.open(at: path, options: FeedChild.options)
        let end = engine.lastSequence
        if end > 0, !engine.slots.isEmpty { try child.consume(engine, through: end) }
        try compare(try child.consumed(), engine, end: end)
        try engine.close()
    }

    private func start() throws -> pid_t {
        var process: pid_t = 0
        let words = ["/proc/self/exe", "--feed-child", path]
        var arguments = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let code = posix_spawn(&process, words[0], nil, nil, &arguments, environ)
        guard code == 0 else { throw SimulationFailure("starting a process: \(code)") }
        return process
    }

    private func compare(_ consumed: [Consumed], _ engine: Engine, end: UInt64) throws {
        var kept: [Consumed] = []
        var duplicates = 0
        for line in consumed {
            let last = kept.last?.sequence ?? 0
            if line.sequence > last {
                guard line.previousSequence <= last else {
                    throw SimulationFailure("\(line.sequence) came after \(last)")
                }
                kept.append(line)
                continue
            }
            duplicates += 1
            let isKnown = kept.reversed().first { $0.sequence <= line.sequence } == line
            guard isKnown else {
                throw SimulationFailure("\(line.sequence) came again as another write")
            }
        }
        var cursor = try engine.changeCursor(after: .start, upTo: .wal)
        var count = 0
        while try cursor.next() {
            guard count < kept.count, kept[count] == Consumed(cursor.record) else {
                throw SimulationFailure("\(cursor.position.sequence) was not consumed")
            }
            count += 1
        }
        guard count == kept.count, kept.last?.sequence ?? 0 == end else {
            throw SimulationFailure("\(kept.count) were consumed, \(count) are in the log")
        }
        print("\(rounds) kills, \(count) writes, \(duplicates) came again, each counted once")
    }
}
