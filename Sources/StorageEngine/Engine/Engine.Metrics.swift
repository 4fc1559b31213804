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
        /// Why writes are refused until the store is reopened; `nil` when they are not.
        public internal(set) var poison: EngineError?
    }
}
