import StorageEngine

// How the follower's process ends and goes on, and what is required of what it finds then.

extension SimulatedRun {
    /// Ends the follower, by a close, a kill or a power cut, and goes on from what survives.
    func endFollower(_ follower: SimulatedFollower) throws {
        let kind = Int.random(in: 0..<4, using: &audience)
        if kind == 0 {
            try drain(follower)
            try follower.engine.close()
            follower.acks.append(
                Ack(
                    position: follower.fileSystem.traceEnd,
                    sequence: follower.last.sequence,
                    point: .disk
                )
            )
        }
        try checkTrace(of: follower)
        let end = follower.fileSystem.traceEnd
        let policy: CrashPolicy = kind < 3 ? .all : .random(using: &audience)
        let floor = follower.floor(policy == .all ? .wal : .disk, at: end)
        let durable = follower.floor(.disk, at: end)
        hash.add(Int(bitPattern: UInt(follower.fileSystem.traceHash)))
        follower.abandon()
        follower.fileSystem =
            kind < 2
            ? follower.fileSystem.killed()
            : follower.fileSystem.crashed(policy, using: &audience)
        follower.fileSystem.clock = clock
        let start = follower.fileSystem.traceEnd
        follower.acks = [
            Ack(position: start, sequence: kind < 2 ? durable : floor, point: .disk),
            Ack(position: start, sequence: floor, point: .wal),
        ]
        tally.add("follower", ["closes", "kills", "kills, all written", "power cuts"][kind])
        try reopen(follower, "follower after its end, kind \(kind), \(policy)", floor: floor)
        guard kind > 0 || follower.engine.lastSequence == floor else {
            throw fail(.ackedWriteLost, "the follower lost something at a clean close")
        }
    }

    /// Opens the follower's store again; nothing that it had reached is lost.
    private func reopen(
        _ follower: SimulatedFollower,
        _ what: String,
        floor: UInt64
    ) throws {
        do throws(EngineError) {
            follower.engine = try SimulatedFollower.open(
                follower.fileSystem,
                follower.options,
                clock,
                audience.next()
            )
        } catch {
            throw fail(.ackedWriteLost, "\(what): open failed: \(error)")
        }
        follower.stepper = EngineStepper(follower.engine)
        let last = follower.engine.lastSequence
        try check(follower.engine, of: follower, what, floor: floor)
        follower.cut(to: last)
        follower.acks.append(
            Ack(position: follower.fileSystem.traceEnd, sequence: last, point: .disk)
        )
    }

    /// A follower's store that was found: it ends where it must, with the log hash and the contents
    /// of the leader there.
    private func check(
        _ engine: Engine,
        of follower: SimulatedFollower,
        _ what: String,
        floor: UInt64
    ) throws {
        let last = engine.lastSequence
        hash.add(Int(last))
        guard last >= floor, last <= follower.last.sequence else {
            throw fail(
                .ackedWriteLost,
                "\(what): ends at \(last), reached was \(floor), received "
                    + "\(follower.last.sequence)"
            )
        }
        let place = try engine.position()
        guard let expected = follower.place(upTo: last), expected == place || last == 0 else {
            let known = follower.place(upTo: last).map { "\($0)" } ?? "unknown"
            throw fail("\(what): its place is \(place), and must be \(known)")
        }
        guard isHere(place) else { return }
        try model.check(engine.makeSnapshot(), .scan, "seed \(seed), \(what)")
        tally.add("follower", "stores compared")
    }

    // MARK: - Crashes

    /// Checks every position of the follower's trace, and images of some.
    func checkTrace(of follower: SimulatedFollower) throws {
        var history = follower.fileSystem.history()
        var floors = FloorWatch(follower.acks)
        let range = history.position...history.end
        let isSampled = plan.samples != nil && follower.samplesDone >= 8
        let count = isSampled ? 0 : Int.random(in: 0...2, using: &chance)
        follower.samplesDone += count
        var samples = (0..<count).map { _ in Int.random(in: range, using: &chance) }.sorted()[...]
        try floors.check(history, after: nil) { throw fail(.ackedWriteLost, "follower: " + $0) }
        while true {
            while samples.first == history.position {
                samples.removeFirst()
                try checkImage(of: follower, history, floors)
            }
            guard let operation = history.next else { break }
            history.advance(to: history.position + 1)
            try floors.check(history, after: operation) {
                throw fail(.ackedWriteLost, "follower: " + $0)
            }
        }
        tally.add("follower", "positions", range.count)
    }

    private func checkImage(
        of follower: SimulatedFollower,
        _ history: borrowing SimulatedHistory,
        _ floors: FloorWatch
    ) throws {
        let policy = CrashPolicy.random(using: &chance)
        let what = "follower, crash at \(history.position), \(policy)"
        let image = history.crashed(policy, using: &chance)
        let floor = policy == .all ? floors.cachedFloor : floors.floor(.disk)
        let clock = SimulatedClock(wall: self.clock.wallMilliseconds)
        let engine: Engine
        do throws(EngineError) {
            engine = try SimulatedFollower.open(image, follower.options, clock, chance.next())
        } catch {
            throw fail(.ackedWriteLost, "\(what): open failed: \(error)")
        }
        try check(engine, of: follower, what, floor: floor)
        tally.add("follower", "images")
        let place = try engine.position()
        // What the leader has let go of is not read, and not what would have to be waited for.
        guard isHere(place), !hasFaults, place.sequence <= stepper.feedLimit(.wal),
            place.sequence >= follower.slot.place?.sequence ?? .max
        else { return }
        try catchUp(engine, clock, image, follower, what)
        hash.add(Int(bitPattern: UInt(image.traceHash)))
    }

    /// A follower that was found goes on to where the leader is, and is there after a restart.
    private func catchUp(
        _ found: Engine,
        _ clock: SimulatedClock,
        _ image: SimulatedFileSystem,
        _ follower: SimulatedFollower,
        _ what: String
    ) throws {
        let stepper = EngineStepper(found)
        var cursor = try engine.changeCursor(after: found.position(), upTo: .wal)
        while let batch = try cursor.nextBatch() {
            var rounds = 0
            while found.lastSequence < batch.position.sequence {
                rounds += 1
                guard rounds < 20_000 else { throw fail(.hang, "\(what): never catches up") }
                if stepper.canTake(batch) { _ = try stepper.submit(batch, ack: .wal) }
                for actor in EngineStepper.Actor.allCases {
                    guard let unit = stepper.take(actor) else { continue }
                    stepper.perform(unit)
                    stepper.finish(unit)
                }
                clock.advance(by: 1_000_000)
            }
        }
        let place = try found.position()
        guard isHere(place), place.sequence == self.stepper.feedLimit(.wal) else {
            throw fail("\(what): caught up to another place than the leader's")
        }
        try model.check(found.makeSnapshot(), .scan, "seed \(seed), \(what), caught up")
        try found.close()
        let again = try SimulatedFollower.open(image, follower.options, clock, chance.next())
        guard try again.position() == place else {
            throw fail(.ackedWriteLost, "\(what): is at another place after a restart")
        }
        tally.add("follower", "images caught up")
    }

    // MARK: - Another history

    /// The leader has lost what the follower has: its history is cut back to what both have.
    func cutBack(_ follower: SimulatedFollower) throws {
        try drain(follower)
        let line = follower.engine.historyLine
        let common = line.lastCommonPosition(with: engine.historyLine)
        try follower.engine.close()
        follower.acks = []
        guard let common else {
            follower.needsCopy = true
            return
        }
        let report: Engine.CutReport
        do throws(EngineError) {
            report = try Engine.cutBack(
                at: Self.directory,
                to: common,
                options: follower.options,
                environment: SimulatedFollower.environment(
                    follower.fileSystem,
                    clock,
                    audience.next()
                )
            )
        } catch {
            guard error.code == .copyNeeded || error.code == .trimmed,
                common.sequence == 0 || error.sequence ?? 0 > common.sequence
            else { throw error }
            tally.add("follower", "cuts refused: \(error.code.rawValue)")
            follower.needsCopy = true
            return
        }
        guard isHere(report.position), report.lastCutSequence == line.lastSequence else {
            throw fail("cut back to \(report.position), which the leader does not have")
        }
        tally.sometimes(.followerCutBack)
        let names = follower.fileSystem.names(
            inDirectory: Self.directory + "/quarantine",
            .cached
        )
        guard names?.isEmpty == false else { throw fail("nothing is left of what was cut") }
        follower.cut(to: report.position.sequence)
        follower.abandon()
        follower.fileSystem.forgetTrace()
        let last = report.position.sequence
        follower.acks = [
            Ack(position: follower.fileSystem.traceEnd, sequence: last, point: .disk)
        ]
        try reopen(follower, "follower, cut back", floor: last)
        guard follower.engine.lastSequence == last else { throw fail("the cut left a record") }
    }

    /// Makes the follower anew, from a checkpoint of the leader, which was just opened: where it
    /// must be, or its disk was replaced.
    func copyFollower(_ follower: SimulatedFollower) throws {
        let isReplaced = Int.random(in: 0..<50, using: &audience) == 0
        guard follower.needsCopy || isReplaced, !hasFaults else { return }
        let path = "copy"
        try engine.checkpoint(at: path)
        follower.abandon()
        follower.fileSystem = try fileSystem.moving(path, to: Self.directory)
        follower.fileSystem.clock = clock
        follower.line = []
        follower.base = try engine.position()
        let last = follower.base.sequence
        follower.acks = [
            Ack(position: follower.fileSystem.traceEnd, sequence: last, point: .disk)
        ]
        try reopen(follower, "follower, copied", floor: last)
        follower.needsCopy = false
        tally.sometimes(.followerCopied)
        // What is older may be gone.
        try acknowledge(follower.base, follower.slot)
    }
}
