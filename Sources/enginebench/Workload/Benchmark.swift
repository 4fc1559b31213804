internal import StorageEngine

/// What can be measured, by db_bench's names.
enum Benchmark: String, CaseIterable, Sendable {
    /// One random key a write: the rows of the ack-point matrix.
    case put
    case fillseq, fillrandom, fillbatch, fillsync
    case overwrite, deleterandom
    case readrandom, readmissing, readseq, readreverse, seekrandom
    case readwhilewriting
    case ycsbA = "ycsb-a"
    case ycsbB = "ycsb-b"
    case ycsbC = "ycsb-c"
    case ycsbD = "ycsb-d"
    case ycsbE = "ycsb-e"
    case ycsbF = "ycsb-f"
    case compact
    case feedTail = "feed-tail"
    case feedCatchup = "feed-catchup"
    case replicaAcks = "replica-acks"
    case replicaLag = "replica-lag"
    case replicaCatchup = "replica-catchup"
    case replicaCopy = "replica-copy"

    /// Whether the row starts with an empty database.
    var startsEmpty: Bool {
        switch self {
        case .put, .fillseq, .fillrandom, .fillbatch, .fillsync, .feedTail: true
        default: isReplicated
        }
    }

    /// Whether it is a leader and followers that are measured.
    var isReplicated: Bool {
        switch self {
        case .replicaAcks, .replicaLag, .replicaCatchup, .replicaCopy: true
        default: false
        }
    }

    /// Whether threads or tasks take part, as many as a row says; otherwise there is one row.
    var hasWorkers: Bool { self != .replicaCatchup && self != .replicaCopy }

    /// Whether something is written, so that the ack point matters.
    var writes: Bool {
        switch self {
        case .overwrite, .deleterandom, .readwhilewriting: true
        case .replicaCatchup, .replicaCopy: false
        default: startsEmpty || mix?.write != nil
        }
    }

    /// Whether keys are looked for; the row's length is then that of reads.
    var reads: Bool {
        switch self {
        case .overwrite, .deleterandom, .compact: false
        default: !startsEmpty
        }
    }

    /// The ack points of the benchmark's rows: those asked for, unless it has one of its own.
    func ackPoints(_ asked: [AckPoint]) -> [AckPoint?] {
        guard writes else { return [nil] }
        return self == .fillsync ? [.disk] : asked
    }

    static let names = allCases.map(\.rawValue).joined(separator: " ")
}

/// Who runs a row: threads that call the blocking forms, or tasks that call the suspending ones.
enum Crew: Hashable, Sendable {
    case threads(Int)
    case tasks(Int)

    var count: Int {
        switch self {
        case .threads(let count), .tasks(let count): count
        }
    }

    /// As "8 threads".
    var label: String { "\(count) \(count == 1 ? String(memberName.dropLast()) : memberName)" }

    /// The member of a row that says how many there are.
    var memberName: String {
        switch self {
        case .threads: "threads"
        case .tasks: "tasks"
        }
    }
}
