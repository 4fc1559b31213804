extension Engine {
    /// Counts and gauges of an engine, since it was opened unless said otherwise.
    public struct Metrics: Sendable, Hashable {
        /// Latency of writes by the ack point they waited for.
        public internal(set) var writes: [AckPoint: Latency] = [:]
        /// Latency of fdatasync on log files.
        public internal(set) var sync: Latency
        /// How long `.wal` writers were held while log files changed.
        public internal(set) var rotation: Latency
        /// Bytes of records before compression, and of frames as written, in the log.
        public internal(set) var walBytesRaw, walBytesStored: UInt64
        /// Frames and log files written.
        public internal(set) var frames, rotations: UInt64
        /// Syncs of log files.
        public internal(set) var syncs: UInt64
        /// Bytes that wait for the log now.
        public internal(set) var bufferedBytes: Int
        /// The last sequence given, and those that reached the log and the disk.
        public internal(set) var lastSequence, walSequence, diskSequence: UInt64
        /// Memory that the index took from the system, in bytes.
        public internal(set) var indexBytes: Int
        /// Keys in the index, deleted ones included, and versions linked to them.
        public internal(set) var indexKeys, indexVersions: Int
        /// Open snapshots and cursors.
        public internal(set) var snapshots: Int
        /// Live segments of each level, level 0 first.
        public internal(set) var levelSegments: [Int] = []
        /// Their bytes, by level.
        public internal(set) var levelBytes: [UInt64] = []
        /// Indexes that were flushed, and the bytes of their segments.
        public internal(set) var flushes: UInt64 = 0, flushedBytes: UInt64 = 0
        /// Compactions that wrote segments, and segments that only changed their level.
        public internal(set) var compactions: UInt64 = 0, compactionMoves: UInt64 = 0
        /// Bytes of segments that compactions read.
        public internal(set) var compactionReadBytes: UInt64 = 0
        /// Bytes of segments that compactions wrote.
        public internal(set) var compactionWrittenBytes: UInt64 = 0
        /// Bytes that flushes (level 0) and compactions wrote into each level.
        public internal(set) var levelWrittenBytes: [UInt64] = []
        /// Flushes, compactions, and changes of the manifest that failed.
        public internal(set) var maintenanceFailures: UInt64 = 0
        /// Lookups in the block cache that found their block, and those that did not.
        public internal(set) var cacheHits: UInt64 = 0, cacheMisses: UInt64 = 0
        /// Bytes in the block cache.
        public internal(set) var cacheBytes = 0
        /// Consumers of changes that there are now, in this process.
        public internal(set) var consumers = 0
        /// How often one of them went to log files for what was not in memory any more.
        public internal(set) var consumerFileReads: UInt64 = 0
        /// Slots, and those among them that are lost.
        public internal(set) var slots = 0, lostSlots = 0
        /// The greatest lags of slots that are not lost; see ``Slot/lagSequences``.
        public internal(set) var slotLagSequences: UInt64 = 0, slotLagBytes: UInt64 = 0
        /// The greatest age of a write that a slot waits for, in milliseconds; see
        /// ``Slot/lagTime``.
        public internal(set) var slotLagTime: UInt64 = 0
        /// Bytes of log files that are kept for consumers, and not for recovery.
        public internal(set) var retainedLogBytes: UInt64 = 0
        /// Why writers are slowed or held now; `nil` when they are not.
        public internal(set) var stallReason: StallReason?
        /// How long groups of writers were made to wait for flushes and compactions, in all.
        public internal(set) var stalledNanoseconds: UInt64 = 0

        /// Bytes written to log and segments for each byte of records; `nil` before the first.
        public var writeAmplification: Double? {
            guard walBytesRaw > 0 else { return nil }
            let written = walBytesStored + flushedBytes + compactionWrittenBytes
            return Double(written) / Double(walBytesRaw)
        }

        /// Why writes are refused until the store is reopened; `nil` when they are not.
        public internal(set) var poison: EngineError?
    }
}
