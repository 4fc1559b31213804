internal import Replication
internal import ReplicationTransport
internal import StorageEngine
internal import ToolSupport

/// The node's figures in Prometheus's text format: names, types, labels; one sample a line.
struct MetricsText {
    private(set) var text = ""

    init(_ status: NodeStatus) {
        addNode(status)
        addMembers(status.members)
        if let engine = status.engine { addEngine(engine) }
        if let network = status.network { addNetwork(network) }
    }

    private mutating func addNode(_ status: NodeStatus) {
        gauge("node_up", "Whether reads and writes are served.", status.trouble == nil ? 1 : 0)
        gauge("node_leader", "Whether this member leads.", status.role == .leader ? 1 : 0)
        gauge("node_sequence", "The last write here.", status.position.sequence)
        gauge("node_epoch", "The epoch of the last write.", status.position.epoch.number)
        gauge("node_suspect", "Whether acked writes may be missing.", status.isSuspect ? 1 : 0)
        if let sequence = status.replicatedSequence {
            gauge("node_replicated_sequence", "The last write that a failover keeps.", sequence)
        }
        gauge("node_missing_voters", "Voters that do not follow.", UInt64(status.missing.count))
        let degraded: UInt64
        let waiting: UInt64
        switch status.shortfall {
        case .none: (degraded, waiting) = (0, 0)
        case .waiting(let writes, _): (degraded, waiting) = (0, UInt64(writes))
        case .degraded: (degraded, waiting) = (1, 0)
        }
        gauge("node_degraded", "Whether fewer followers are asked for.", degraded)
        gauge("node_waiting_writes", "Writes that wait for followers.", waiting)
    }

    private mutating func addMembers(_ members: [NodeStatus.Member]) {
        let known = members.filter { $0.reached != nil }
        func samples(
            _ known: [NodeStatus.Member],
            _ value: (NodeStatus.Member) -> UInt64
        ) -> [(labels: String, UInt64)] {
            known.map { ("member=\"\($0.id)\",role=\"\($0.role)\"", value($0)) }
        }
        gauge("member_connected", "Whether the member is connected.") {
            samples(members) { $0.isConnected ? 1 : 0 }
        }
        gauge("member_lag_sequences", "Writes that the member lacks.") {
            samples(known, \.lagSequences)
        }
        gauge("member_lag_bytes", "Bytes that the member lacks.") { samples(known, \.lagBytes) }
        gauge("member_lag_milliseconds", "The age of the oldest write that it lacks.") {
            samples(known, \.lagMilliseconds)
        }
        gauge("member_sequence", "The sequence that the member has reached.") {
            members.flatMap { member in
                zip(ReplicaPoint.allCases, member.reached ?? []).map { point, sequence in
                    ("member=\"\(member.id)\",point=\"\(point)\"", sequence)
                }
            }
        }
    }

    private mutating func addNetwork(_ counts: NetworkCounts) {
        counter("network_sent_bytes_total", "Bytes sent to members.", counts.sentBytes)
        counter("network_received_bytes_total", "Bytes from members.", counts.receivedBytes)
        counter("network_sent_packets_total", "Packets sent to members.", counts.sentPackets)
        counter("network_dropped_packets_total", "Packets without a link.", counts.droppedPackets)
        counter(
            "network_refused_connections_total",
            "Connections of strangers.",
            counts.refusedConnections
        )
    }

    private mutating func addEngine(_ metrics: Engine.Metrics) {
        add("counter", "writes_total", "Writes, by ack point.") {
            AckPoint.allCases.map { point in
                ("ack=\"\(point.name)\"", metrics.writes[point]?.count ?? 0)
            }
        }
        gauge("write_seconds", "Time of writes, by ack point and quantile.") {
            AckPoint.allCases.flatMap { point -> [(String, Double)] in
                guard let latency = metrics.writes[point], latency.count > 0 else { return [] }
                return [
                    ("0.5", latency.p50Nanoseconds), ("0.9", latency.p90Nanoseconds),
                    ("0.99", latency.p99Nanoseconds), ("0.999", latency.p999Nanoseconds),
                ].map { quantile, nanoseconds in
                    (
                        "ack=\"\(point.name)\",quantile=\"\(quantile)\"",
                        Double(nanoseconds) / 1e9
                    )
                }
            }
        }
        counter("syncs_total", "Syncs of the log.", metrics.syncs)
        counter("log_bytes_total", "Bytes written to the log.", metrics.walBytesStored)
        counter("flushes_total", "Indexes flushed.", metrics.flushes)
        counter("compactions_total", "Compactions.", metrics.compactions)
        counter("failures_total", "Failed flushes and compactions.", metrics.maintenanceFailures)
        counter("cache_hits_total", "Blocks found in the cache.", metrics.cacheHits)
        counter("cache_misses_total", "Blocks read from files.", metrics.cacheMisses)
        gauge("index_bytes", "Memory of the indexes.", UInt64(metrics.indexBytes))
        gauge("retained_log_bytes", "Log files kept for consumers.", metrics.retainedLogBytes)
        gauge("segment_bytes", "Bytes of segments, by level.") {
            metrics.levelBytes.enumerated().map { ("level=\"\($0.offset)\"", $0.element) }
        }
        gauge("stalled", "Whether writes are slowed or held.", metrics.stallReason == nil ? 0 : 1)
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: UInt64) {
        add("gauge", name, help) { [("", value)] }
    }

    private mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        add("counter", name, help) { [("", value)] }
    }

    private mutating func gauge<Value>(
        _ name: String,
        _ help: String,
        _ samples: () -> [(labels: String, Value)]
    ) {
        add("gauge", name, help, samples)
    }

    private mutating func add<Value>(
        _ type: String,
        _ name: String,
        _ help: String,
        _ samples: () -> [(labels: String, Value)]
    ) {
        let name = "storage_engine_\(name)"
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
        for (labels, value) in samples() {
            text += labels.isEmpty ? "\(name) \(value)\n" : "\(name){\(labels)} \(value)\n"
        }
    }
}
