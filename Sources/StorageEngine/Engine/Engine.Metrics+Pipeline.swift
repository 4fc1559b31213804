internal import Synchronization

extension CommitPipeline {
    /// Counts and gauges of the write path.
    var currentMetrics: Engine.Metrics {
        lock.acquire()
        defer { lock.release() }
        var current = Engine.Metrics(
            sync: metrics.syncs.snapshot,
            rotation: metrics.rotations.snapshot,
            lastSequence: state.lastSequence
        )
        for point in AckPoint.allCases { current.writes[point] = metrics.writes(point).snapshot }
        current.walBytesRaw = metrics.rawBytes.load(ordering: .relaxed)
        current.walBytesStored = metrics.storedBytes.load(ordering: .relaxed)
        current.frames = metrics.frames.load(ordering: .relaxed)
        current.rotations = current.rotation.count
        current.syncs = current.sync.count
        current.bufferedBytes = state.bufferedSize
        current.walSequence = state.appendedSequence
        current.diskSequence = state.syncedSequence
        current.poison = state.poison
        current.stallReason = state.backpressure.reason
        current.stalledNanoseconds = state.stalledNanoseconds
        current.consumers = newest.consumerCount
        current.consumerFileReads = newest.misses
        return current
    }
}

extension Engine.Metrics {
    mutating func note(_ version: Version, _ cache: BlockCache.Counts) {
        levelSegments = version.levels.map(\.count)
        levelBytes = version.levels.map { $0.reduce(0) { $0 + $1.info.size } }
        cacheHits = cache.hits
        cacheMisses = cache.misses
        cacheBytes = cache.bytes
    }

    mutating func note(_ counts: MaintenanceCounts) {
        flushes = counts.flushes
        flushedBytes = counts.flushedBytes
        compactions = counts.compactions
        compactionMoves = counts.moves
        compactionReadBytes = counts.compactionReadBytes
        compactionWrittenBytes = counts.compactionWrittenBytes
        levelWrittenBytes = counts.levelWrittenBytes
        maintenanceFailures = counts.failures
    }

    mutating func note(_ slots: [Slot], _ survey: SlotSurvey) {
        self.slots = slots.count
        lostSlots = slots.count(where: \.isLost)
        for slot in slots where !slot.isLost {
            slotLagSequences = max(slotLagSequences, slot.lagSequences)
            slotLagBytes = max(slotLagBytes, slot.lagBytes)
            slotLagTime = max(slotLagTime, slot.lagTime)
        }
        retainedLogBytes = survey.retainedBytes
    }

    init(
        sync: Latency = LatencyHistogram().snapshot,
        rotation: Latency = LatencyHistogram().snapshot,
        lastSequence: UInt64
    ) {
        self.init(
            sync: sync,
            rotation: rotation,
            walBytesRaw: 0,
            walBytesStored: 0,
            frames: 0,
            rotations: 0,
            syncs: 0,
            bufferedBytes: 0,
            lastSequence: lastSequence,
            walSequence: lastSequence,
            diskSequence: lastSequence,
            indexBytes: 0,
            indexKeys: 0,
            indexVersions: 0,
            snapshots: 0,
            poison: nil
        )
    }
}
