public import Logging

extension Engine {
    /// How an engine is opened.
    ///
    /// | option | default | unit | meaning |
    /// |---|---|---|---|
    /// | ``createIfMissing`` | true | | make the store when the directory is empty or absent |
    /// | ``readOnly`` | false | | change nothing on disk; several readers may share a store |
    /// | ``follows`` | nil | | the history that the store follows |
    /// | ``sequences`` | counter | | how the sequences of writes are chosen |
    /// | ``memoryWindow`` | 1,048,576 | bytes | most that a process death takes of `.memory` |
    /// | ``memoryDelay`` | 10 ms | time | goal for the wait of `.memory` writes for the log |
    /// | ``syncInterval`` | 1 s | time | most that a write waits for a sync nobody asked for |
    /// | ``logFileSize`` | 67,108,864 | bytes | length at which the next log file begins |
    /// | ``writeBufferSize`` | 67,108,864 | bytes | memory at which an index is flushed |
    /// | ``cacheSize`` | 67,108,864 | bytes | blocks, indexes and filters of segments in memory |
    /// | ``compactionThreads`` | 1 | | compactions that may run at a time |
    /// | ``compactionRate`` | nil | bytes/s | most that compactions read and write |
    /// | ``retainedLogSize`` | 268,435,456 | bytes | finished log files kept for consumers |
    /// | ``retainedLogAge`` | 24 h | time | age up to which they are kept |
    /// | ``slotsLogSize`` | 4,294,967,296 | bytes | log files that slots may keep, all together |
    /// | ``lowSpaceLimit`` | nil | bytes | writes are refused while less of the disk is free |
    /// | ``failsIfStalled`` | false | | refuse writes instead of slowing or holding them |
    /// | ``allowsSharedDirectory`` | false | | open a directory that others may write to |
    /// | ``logger`` | label `StorageEngine` | | where operators are told what they must know |
    public struct Options: Sendable {
        /// Whether a store is made when the directory is empty or absent. Its parent must exist.
        public var createIfMissing = true
        /// Whether nothing on disk is changed: no store is made, no tail repaired, no write
        /// accepted.
        public var readOnly = false
        /// The history that the store follows: all its records come from a leader, see
        /// ``Follower``, and writes of its own are refused. A new store takes this history's name.
        /// `nil` for a store that is written to.
        public var follows: UniqueID?
        /// How the sequences of writes are chosen; a follower keeps its leader's.
        public var sequences = SequencePolicy.counter
        /// The most bytes that wait for the log, and are lost when the process dies; at least
        /// 4,096. A single larger write waits for the log itself.
        public var memoryWindow = 1 << 20
        /// How long `.memory` writes should wait for the log; a goal, not a promise.
        public var memoryDelay = Duration.milliseconds(10)
        /// The longest that appended writes wait for a sync which nobody asked for.
        public var syncInterval = Duration.seconds(1)
        /// The length at which a log file is finished and the next begun, in bytes; at least
        /// 16,384.
        public var logFileSize: UInt64 = 64 << 20
        /// The memory of an index at which it is flushed, in bytes; at least 16,384. Up to three
        /// indexes of this size are in memory: one that is written to, two that wait.
        public var writeBufferSize = 64 << 20
        /// The memory for blocks of segments, their indexes and filters, in bytes.
        public var cacheSize = 64 << 20
        /// How many compactions may run at a time; at least 1.
        public var compactionThreads = 1
        /// The most bytes of keys and values that compactions take in a second; `nil` for no limit.
        public var compactionRate: UInt64?
        /// How many bytes of finished log files are kept for consumers that have no slot, beyond
        /// what recovery needs; and how old these may be, by the wall clock.
        public var retainedLogSize: UInt64 = 256 << 20
        /// See ``retainedLogSize``.
        public var retainedLogAge = Duration.seconds(24 * 3600)
        /// How many bytes of finished log files all slots together may keep; each has limits of its
        /// own besides, see ``SlotLimits``.
        public var slotsLogSize: UInt64 = 4 << 30
        /// Writes throw `noSpace` while fewer bytes than this are free on the file system, so that
        /// flushes, compactions and a clean close still have room; they are accepted again, without
        /// a restart, when a little more is free. `nil` for two segments and a manifest: 144 MiB
        /// with the defaults. To delete what takes the space, open the store with a lower limit.
        public var lowSpaceLimit: UInt64?
        /// Whether writes throw `stalled` when flushes or compactions are so far behind that they
        /// would be slowed or held, instead of waiting.
        public var failsIfStalled = false
        /// Whether the store is a replication member's: it takes a leader's records, or makes its
        /// own while the member leads, see ``Engine/lead(_:)``.
        package var isMember = false
        /// When levels are compacted, and how large their segments are.
        package var compaction = CompactionLimits()
        /// Whether a directory that its group or everybody may write to is accepted.
        public var allowsSharedDirectory = false
        /// Where operators are told what they must know; levels info and above.
        public var logger = Logger(label: "StorageEngine")

        /// The defaults of the table above.
        public init() {}

        /// Checks every limit.
        func check() throws(EngineError) {
            guard memoryWindow >= 4096 else {
                throw .invalidArgument(
                    "memoryWindow of \(memoryWindow) bytes, at least 4096 is needed"
                )
            }
            guard logFileSize >= 16_384 else {
                throw .invalidArgument(
                    "logFileSize of \(logFileSize) bytes, at least 16384 is needed"
                )
            }
            guard writeBufferSize >= 16_384, cacheSize >= 0, compactionThreads >= 1 else {
                throw .invalidArgument(
                    "writeBufferSize must be at least 16384, cacheSize at least 0, and "
                        + "compactionThreads at least 1"
                )
            }
            guard syncInterval > .zero, memoryDelay > .zero else {
                throw .invalidArgument("syncInterval and memoryDelay must be above zero")
            }
        }

        var maintenance: Maintenance.Limits {
            Maintenance.Limits(
                writeBufferSize: writeBufferSize,
                compaction: compaction,
                compactionRate: compactionRate,
                lowSpaceLimit: lowSpaceLimit ?? defaultLowSpaceLimit
            )
        }

        var retention: LogRetention {
            LogRetention(
                size: retainedLogSize,
                age: retainedLogAge.milliseconds,
                slotsSize: slotsLogSize
            )
        }

        private var defaultLowSpaceLimit: UInt64 {
            let segment = min(max(UInt64(writeBufferSize), compaction.segmentSize), 1 << 40)
            return 2 * segment + UInt64(ManifestFormat.editSizeMax)
        }

        var limits: CommitPipeline.Limits {
            CommitPipeline.Limits(
                memoryWindow: memoryWindow,
                memoryDelay: Self.nanoseconds(memoryDelay),
                syncInterval: Self.nanoseconds(syncInterval),
                logFileSize: logFileSize,
                failsIfStalled: failsIfStalled,
                isFollower: follows != nil || isMember,
                sequences: sequences
            )
        }

        private static func nanoseconds(_ duration: Duration) -> UInt64 {
            let (seconds, attoseconds) = duration.components
            let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
            return overflow
                ? .max / 4 : UInt64(min(max(0, whole + attoseconds / 1_000_000_000), .max / 4))
        }
    }
}
