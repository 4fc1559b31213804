internal import Logging
internal import Synchronization

// Who does what next, and what follows from what was done. Everything here runs under the lock, and
// is free of I/O and waiting. See `Maintenance.swift` for the rules.

extension Maintenance {
    /// The wait after a failure.
    private static let retryDelay: UInt64 = 50_000_000
    /// How often things are looked at that do not wake a thread for certain.
    private static let pollDelay: UInt64 = 5_000_000

    // MARK: - Take

    /// Takes what a flushing thread should do now, `nil` for nothing.
    func takeFlushWork(now: UInt64) -> Work? {
        takeInstall(now: now) ?? takeFlush(now: now) ?? takeRemoval(now: now)
    }

    /// Takes what a compacting thread should do now, `nil` for nothing.
    func takeCompactionWork(now: UInt64) -> Work? {
        takeInstall(now: now) ?? takeCompaction(now: now)
    }

    private func takeInstall(now: UInt64) -> Work? {
        guard !state.isInstalling, now >= state.installRetryTime,
            let index = state.installs.firstIndex(where: isInstallable)
        else { return nil }
        state.isInstalling = true
        return .install(state.installs.remove(at: index))
    }

    /// Whether everything that a change stands for is durable.
    private func isInstallable(_ install: Install) -> Bool {
        guard case .flush(let sealed) = install.source else { return true }
        guard let log, log.syncedSequence < sealed.mark.sequence else { return true }
        isWaitingForSync.store(true, ordering: .sequentiallyConsistent)
        log.requestSync()
        return false
    }

    private func takeFlush(now: UInt64) -> Work? {
        guard !state.isFlushing, let sealed = state.sealed.first, now >= state.flushRetryTime
        else { return nil }
        state.isFlushing = true
        return .flush(sealed, registered: readState.snapshots.registered)
    }

    private func takeCompaction(now: UInt64) -> Work? {
        guard state.phase == .open, now >= state.compactionRetryTime,
            let choice = nextChoice()
        else { return nil }
        state.running.append(choice)
        let cut = SegmentCut(
            size: limits.compaction.segmentSize,
            boundaries: Compactor.boundaries(of: choice, state.version)
        )
        return .compact(
            Compactor(
                choice: choice,
                version: state.version,
                registered: readState.snapshots.registered,
                output: output(cut: cut)
            )
        )
    }

    private func nextChoice() -> CompactionChoice? {
        let infos = state.infos
        if let request = state.requests.first {
            advance(request, infos)
            // It begins when what runs has ended, so nothing else begins before.
            if !request.isDone, request.firstNumber == nil { return nil }
            if !request.isDone, let choice = choice(for: request, infos, beside: state.running) {
                return choice
            }
        }
        guard state.pauseCount == 0,
            let choice = picker.choice(infos, beside: state.running)
        else { return nil }
        return hasRoom(for: choice) ? choice : nil
    }

    /// What comes next of a request: level by level, then what can be dropped in the deepest.
    private func choice(
        for request: CompactionRequest,
        _ infos: [[SegmentInfo]],
        beside running: [CompactionChoice]
    ) -> CompactionChoice? {
        guard let firstNumber = request.firstNumber else { return nil }
        guard request.level < request.lastLevel else {
            return picker.choice(
                cleaning: request.range,
                below: firstNumber,
                infos,
                beside: running
            )
        }
        return picker.choice(
            compacting: request.range,
            level: request.level,
            infos,
            beside: running
        )
    }

    /// Goes on to the next level of a request that has something to compact, or ends it.
    private func advance(_ request: CompactionRequest, _ infos: [[SegmentInfo]]) {
        // What runs may move segments of the range from one level to the next.
        guard state.running.isEmpty, state.installs.isEmpty, !state.isInstalling else { return }
        if request.firstNumber == nil {
            // What ran when the request was made may have gone deeper than all else.
            request.lastLevel = max(request.lastLevel, state.deepestLevel)
            request.firstNumber = nextNumber.load(ordering: .relaxed)
        }
        while request.level < request.lastLevel {
            let level = request.level < infos.count ? infos[request.level] : []
            if level.contains(where: { $0.touches(request.range) }) { return }
            request.level += 1
        }
        if choice(for: request, infos, beside: []) == nil { finish(request, nil) }
    }

    private func finish(_ request: CompactionRequest, _ failure: EngineError?) {
        request.isDone = true
        request.failure = failure
        state.requests.removeAll { $0 === request }
        condition.broadcast()
    }

    private func takeRemoval(now: UInt64) -> Work? {
        guard !state.isRemoving, !state.garbage.isEmpty, state.removalHoldCount == 0,
            // A time to retry installs means that the last one failed.
            now >= state.removalRetryTime, state.installRetryTime == 0
        else { return nil }
        state.isRemoving = true
        let names = state.garbage
        state.garbage = []
        return .remove(names)
    }

    /// When a thread has something to do at the latest: 0 for now, `.max` for nothing.
    func nextTime() -> UInt64 {
        let times = [
            state.flushRetryTime, state.compactionRetryTime, state.installRetryTime,
            state.removalRetryTime,
        ]
        let later = times.filter { $0 > now }.min() ?? .max
        // Readers that leave, and syncs that end, say so without the lock: a wake may be missed.
        let isPolling =
            readState.gate.isHolding || isWaitingForSync.load(ordering: .sequentiallyConsistent)
        return isPolling ? min(later, now + Self.pollDelay) : later
    }

    // MARK: - Finish

    /// Notes what came of a unit of work.
    func finish(_ work: Work, _ completion: Completion) {
        if case .failed(let error) = completion { note(error, in: work) }
        switch (work, completion) {
        case (.flush(let sealed, _), .flushed(let segments)):
            // It stays first in line, and in work, until it is installed.
            state.counts.flushes += 1
            state.counts.flushedBytes += state.counts.noteWritten(segments, level: 0)
            state.installs.append(Install(source: .flush(sealed), added: segments))
        case (.flush, _): state.isFlushing = false
        case (.compact(let compactor), .compacted(let result)): finish(compactor.choice, result)
        case (.compact(let compactor), _):
            state.running.removeAll { $0 == compactor.choice }
        case (.install(let install), .success):
            state.isInstalling = false
            finish(install)
        case (.install(let install), _):
            state.isInstalling = false
            state.installs.insert(install, at: 0)
        case (.watch, .watched(let free)): noteFree(free)
        case (.watch, _): state.isWatching = false
        case (.remove, .success): state.isRemoving = false
        case (.remove(let names), _):
            state.isRemoving = false
            state.garbage += names
        }
        noteBackpressure()
        condition.broadcast()
    }

    private func finish(_ choice: CompactionChoice, _ result: Compactor.Result) {
        state.compactionFailure = nil
        if choice.isMove {
            state.counts.moves += 1
        } else {
            let written = state.counts.noteWritten(result.segments, level: choice.outputLevel)
            state.counts.compactions += 1
            state.counts.compactionReadBytes += result.readBytes
            state.counts.compactionWrittenBytes += written
            events.send(
                .compacted(
                    level: choice.level,
                    readBytes: result.readBytes,
                    writtenBytes: written
                )
            )
        }
        let source = Install.Source.compaction(choice, droppedTombstone: result.droppedTombstone)
        state.installs.append(Install(source: source, added: result.segments))
    }

    private func finish(_ install: Install) {
        state.installRetryTime = 0
        state.hasInstalled = true
        state.deltaHorizon = manifest.state.deltaHorizon
        state.garbage += state.leftovers
        state.leftovers = []
        switch install.source {
        case .flush(let sealed):
            state.isFlushing = false
            state.flushFailure = nil
            state.flushedSequence = sealed.mark.sequence
            let bytes = install.added.reduce(0) { $0 + $1.info.size }
            events.send(.flushed(bytes: bytes, sequence: sealed.mark.sequence))
            state.sealed.removeFirst()
            state.version = state.version.adding(install.added, to: 0, removing: [])
            readState.install(state.version, without: sealed.index)
            state.obsoleteLog = manifest.state.logStart.fileNumber
            noteRemovableLogs()
        case .compaction(let choice, _):
            state.running.removeAll { $0 == choice }
            let removed = Set(choice.all.map(\.number))
            let version = state.version
            state.version = version.adding(
                install.added,
                to: choice.outputLevel,
                removing: removed
            )
            readState.install(state.version, without: nil)
            if !choice.isMove { state.garbage += choice.all.map { .segment($0.number) } }
        }
    }

    /// The log files that nobody needs any more become garbage.
    func noteRemovableLogs() {
        guard state.hasInstalled else { return }
        noteRemoved(through: log?.removableLog(obsolete: state.obsoleteLog) ?? 0)
    }

    /// Log files that are in no catalog any more become garbage.
    func noteRemoved(through end: UInt64) {
        guard end > state.removedLog else { return }
        state.garbage += (state.removedLog + 1...end).map(FileName.log)
        state.removedLog = end
        condition.broadcast()
    }

    private func note(_ error: EngineError, in work: Work) {
        guard error.code != .closed else { return }
        state.counts.failures += 1
        let time = now + Self.retryDelay
        let doing: String
        switch work {
        case .flush:
            doing = "flushing an index"
            state.flushRetryTime = time
            state.flushFailure = error
        case .compact(let compactor):
            doing = "compacting level \(compactor.choice.level)"
            // Damage does not go away; trying again soon would only read it again.
            state.compactionRetryTime = now + (error.code == .noSpace ? 1 : 200) * Self.retryDelay
            state.compactionFailure = error
            if let request = state.requests.first { finish(request, error) }
        case .install(let install):
            doing = "writing the manifest"
            state.installRetryTime = time
            if case .flush = install.source { state.flushFailure = error }
        case .remove:
            doing = "removing files"
            state.removalRetryTime = now + 20 * Self.retryDelay
        case .watch: doing = "looking at the disk"
        }
        logger.warning("\(doing) failed", metadata: ["error": "\(error)"])
        switch error.code {
        case .noSpace: events.send(.noSpace(error))
        case .corruption: events.send(.corruption(error))
        default: events.send(.maintenanceFailed(error))
        }
    }

    // MARK: - Back-pressure

    /// Judges anew how much writers must be slowed.
    func noteBackpressure() {
        var pressure = Backpressure()
        if state.sealed.count >= limits.sealedMax {
            pressure.note(.flush, from: 0, to: 1, at: state.activeLoad)
        }
        let level0 = Double(state.version.levels.first?.count ?? 0)
        let trigger = Double(limits.compaction.level0Count)
        pressure.note(.level0, from: 2 * trigger, to: 6 * trigger, at: level0)
        let base = Double(limits.compaction.levelBaseSize)
        pressure.note(.compaction, from: 64 * base, to: 256 * base, at: Double(debt))
        if state.spaceFailure != nil {
            pressure.load = 1
            pressure.reason = .space
        }
        let isFullNow = state.sealed.count >= limits.sealedMax
        let hasRoomAgain = isFull.exchange(isFullNow, ordering: .relaxed) && !isFullNow
        let failure = state.spaceFailure ?? state.flushFailure ?? state.compactionFailure
        // Who wants the active index sealed waits for room, whatever the load.
        guard hasRoomAgain || pressure != state.backpressure || failure != state.stallFailure
        else { return }
        if pressure.reason != state.backpressure.reason {
            events.send(pressure.reason.map(Event.stallBegan) ?? .stallEnded)
        }
        state.backpressure = pressure
        state.stallFailure = failure
        log?.apply(pressure, failure: failure)
    }

    /// Bytes that lie above the targets of their levels.
    private var debt: UInt64 {
        state.version.levels.enumerated().dropFirst().reduce(0) { sum, level in
            let size = level.element.reduce(0) { $0 + $1.info.size }
            let target = limits.compaction.target(level.offset)
            return sum + (size > target ? size - target : 0)
        }
    }
}

extension Version {
    /// The version with segments added to a level and others removed from wherever they are.
    func adding(_ added: [Segment], to level: Int, removing removed: Set<UInt64>) -> Version {
        var levels = levels.map { $0.filter { !removed.contains($0.info.number) } }
        while levels.count <= level { levels.append([]) }
        if level == 0 {
            levels[0] = added + levels[0]
        } else {
            levels[level] = (levels[level] + added).sorted {
                $0.info.smallest.lexicographicallyPrecedes($1.info.smallest)
            }
        }
        return Version(levels: levels)
    }
}
