import StorageEngineTestSupport
import Testing

@testable import StorageEngine

/// Slots: durable consumers, and the log that is kept for them.
@Suite struct SlotTests {
    private let directory = TemporaryDirectory()

    private func open(_ adjust: (inout Engine.Options) -> Void = { _ in }) throws -> Engine {
        var options = Engine.Options()
        options.logger = .silent
        options.logFileSize = 16_384
        options.writeBufferSize = 16_384
        options.retainedLogSize = 0
        adjust(&options)
        return try Engine.open(at: directory.path + "/db", options: options)
    }

    /// Writes what does not compress, so that log files change.
    private func fill(_ engine: Engine, _ range: Range<Int>) throws {
        for number in range {
            var generator = SeededGenerator(seed: UInt64(number))
            let value = (0..<100).map { _ in UInt8.random(in: 0...255, using: &generator) }
            try engine.put(value, for: "k\(number % 100)", ack: .wal)
        }
    }

    /// Writes and flushes until the log does not go back to a sequence, which nobody with a slot
    /// needs; files change behind the writers' backs, so that it is not said when.
    private func fillUntilTrimmed(_ engine: Engine, from start: Int) throws -> Int {
        let position = Position(sequence: engine.slots.isEmpty ? UInt64(start) : 0)
        var end = start
        while code(of: { _ = try engine.changeCursor(after: position) }) != .trimmed || end == start
        {
            try #require(end < start + 100_000)
            try fill(engine, end..<end + 300)
            end += 300
            try engine.flush()
        }
        return end
    }

    private func sequences(_ cursor: consuming ChangeCursor) throws -> [UInt64] {
        var found: [UInt64] = []
        while try cursor.next() { found.append(cursor.record.position.sequence) }
        return found
    }

    @Test func theLogIsKeptForASlotAndForNobodyElse() throws {
        let engine = try open()
        let start = try fillUntilTrimmed(engine, from: 0)
        try engine.createSlot("a")
        let end = try fillUntilTrimmed(engine, from: start)

        let expected = Array(UInt64(start + 1)...UInt64(end))
        #expect(try sequences(engine.changeCursor(slot: "a", upTo: .wal)) == expected)
        #expect(code { try engine.trimLog(through: UInt64(end)) } == .invalidArgument)

        try engine.dropSlot("a")
        _ = try fillUntilTrimmed(engine, from: end)
        #expect(engine.slots == [])
        try engine.close()
    }

    @Test func acknowledgementsSurviveACloseAndNeverGoBack() throws {
        var engine = try open()
        try fill(engine, 0..<50)
        try engine.createSlot("a", after: Position(sequence: 10))
        try engine.createSlot("b", after: .start)
        #expect(code { try engine.createSlot("a") } == .invalidArgument)
        #expect(code { try engine.createSlot("a/b") } == .invalidArgument)
        #expect(code { try engine.createSlot("c", after: Position(sequence: 51)) } == .ahead)
        var cursor = try engine.changeCursor(slot: "a", upTo: .wal)
        for _ in 0..<20 { #expect(try cursor.next()) }
        let position = cursor.record.position
        _ = consume cursor
        try engine.acknowledge(position, slot: "a")
        #expect(code { try engine.acknowledge(.start, slot: "a") } == .invalidArgument)
        #expect(
            code { try engine.acknowledge(Position(sequence: 99), slot: "a") } == .ahead
        )
        #expect(code { try engine.acknowledge(position, slot: "z") } == .invalidArgument)
        try engine.close()

        engine = try open()
        #expect(engine.slots.map(\.name) == ["a", "b"])
        #expect(engine.slots.first?.position == position)
        #expect(engine.slots.map(\.lagSequences) == [20, 50])
        #expect(try sequences(engine.changeCursor(slot: "a", upTo: .wal)) == Array(31...50))
        try engine.close()
    }

    @Test func aSlotThatAsksForTooMuchIsLostWithAnEvent() async throws {
        let engine = try open()
        var events = engine.events.makeAsyncIterator()
        try engine.createSlot("slow", limits: SlotLimits(size: 50_000))
        try engine.createSlot("patient", limits: SlotLimits(size: 10 << 20))
        // Files change behind the writers' backs; so it is not said when it is too much.
        var end = 0
        while end < 100_000, engine.slots.first(where: \.isLost) == nil {
            try fill(engine, end..<end + 500)
            end += 500
            try engine.acknowledge(Position(sequence: UInt64(end)), slot: "patient")
            try await engine.flush()
        }

        #expect(engine.slots.filter(\.isLost).map(\.name) == ["slow"])
        await #expect(throws: EngineError.self) { _ = try await engine.changes(slot: "slow") }
        while let event = await events.next() {
            guard case .slotLost(let name, _) = event else { continue }
            #expect(name == "slow")
            break
        }
        try await engine.close()
    }

    @Test func aBootstrapAndItsStreamMakeTheWholeStateWhileOthersWrite() async throws {
        let engine = try open { $0.retainedLogSize = 1 << 20 }
        try fill(engine, 0..<50)
        let writer = Task {
            for number in 50..<1500 {
                try await engine.put("\(number)", for: "k\(number % 100)", ack: .memory)
            }
        }
        var state: [[UInt8]: [UInt8]] = [:]
        let start = try engine.bootstrap(slot: "copy")
        var cursor = try start.snapshot.cursor()
        while try cursor.next() {
            let key = cursor.key.withUnsafeBufferPointer(Array.init)
            state[key] = cursor.value.withUnsafeBufferPointer(Array.init)
        }
        // Without an acknowledgement the bootstrap begins anew, after one it does not.
        let again = try engine.bootstrap(slot: "copy")
        #expect(again.position.sequence >= start.position.sequence)
        try engine.acknowledge(again.position, slot: "copy")
        #expect(code { _ = try engine.bootstrap(slot: "copy") } == .invalidArgument)
        try await writer.value

        var changes = try engine.changeCursor(after: start.position, upTo: .memory)
        var expected = start.position.sequence + 1
        let last = engine.lastSequence
        while try expected <= last && changes.next(waits: true) {
            #expect(changes.record.position.sequence == expected)
            expected += 1
            changes.record.forEachOperation { _, key, value in
                state[key.withUnsafeBufferPointer(Array.init)] =
                    value.withUnsafeBufferPointer(Array.init)
            }
        }
        var found: [[UInt8]: [UInt8]] = [:]
        var all = try engine.makeSnapshot().cursor()
        while try all.next() {
            let key = all.key.withUnsafeBufferPointer(Array.init)
            found[key] = all.value.withUnsafeBufferPointer(Array.init)
        }
        #expect(found == state)
        try await engine.close()
    }

    @Test func whatWasPromisedOfASlotSurvivesAPowerLoss() throws {
        let fileSystem = SimulatedFileSystem(profile: .strict)
        let clock = SimulatedClock()
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        for number in 1...9 { _ = try stepper.put("\(number)", for: "k", ack: .disk) }
        try engine.createSlot("a", after: Position(sequence: 2))
        try engine.acknowledge(Position(sequence: 5), slot: "a")

        let early = try openSimulated(fileSystem.crashed(.none))
        #expect(early.slots.map(\.position.sequence) == [2])

        clock.advance(by: 1_000_000_000)
        for _ in 0..<20 { stepper.work() }
        let late = try openSimulated(fileSystem.crashed(.none))
        #expect(late.slots.map(\.position.sequence) == [5])
        #expect(try sequences(late.changeCursor(slot: "a", upTo: .disk)) == [6, 7, 8, 9])
    }

    /// Found by simulation: a consumer at `.disk` began with what was in memory alone.
    @Test func whatASlotBeginsWithIsOnDisk() throws {
        for bootstraps in [true, false] {
            let fileSystem = SimulatedFileSystem(profile: .strict)
            let engine = try openSimulated(fileSystem)
            let stepper = EngineStepper(engine)
            for point in AckPoint.allCases.reversed() {
                _ = try stepper.put("\(point)", for: "k", ack: point)
            }
            if bootstraps {
                #expect(try engine.bootstrap(slot: "a").position.sequence == 3)
            } else {
                try engine.createSlot("a")
            }

            let found = try openSimulated(fileSystem.crashed(.none))
            #expect(found.lastSequence == 3)
            #expect(found.slots.map(\.position.sequence) == [3])
            #expect(try sequences(found.changeCursor(slot: "a")) == [])
        }
    }

    /// Found by simulation: the kernel may show a SLOTS that is not on disk yet.
    @Test func whatAnOpenStoreShowsOfASlotIsOnDisk() throws {
        let fileSystem = SimulatedFileSystem(profile: .strict)
        let clock = SimulatedClock()
        do {
            let engine = try openSimulated(fileSystem, clock: clock)
            let stepper = EngineStepper(engine)
            for number in 1...9 { _ = try stepper.put("\(number)", for: "k", ack: .disk) }
            try engine.createSlot("a", after: Position(sequence: 2))
            try engine.close()
        }
        do {
            // Nothing else is to be brought to disk: a recovery of the log would sync the name.
            let engine = try openSimulated(fileSystem, clock: clock)
            try engine.acknowledge(Position(sequence: 5), slot: "a")
            clock.advance(by: 1_000_000_000)
            // The process dies between the new name and its sync.
            fileSystem.inject(SimulatedFault(.syncDirectory, errno: 5, duration: .forever))
            let stepper = EngineStepper(engine)
            for _ in 0..<3 { stepper.work() }
        }
        let killed = fileSystem.killed()
        let shown = try openSimulated(killed).slots
        #expect(shown.map(\.position.sequence) == [5])

        #expect(try openSimulated(killed.crashed(.none)).slots.map(\.position.sequence) == [5])
    }

    /// The log behind a slot's place may go while the slot is on its way to disk.
    @Test func aSlotWhoseLogIsGoneMeanwhileIsNotMade() throws {
        let engine = try open()
        let end = try fillUntilTrimmed(engine, from: 0)
        let keeper = try #require(engine.pipeline).slots
        #expect(
            code {
                try keeper.create(
                    "a",
                    at: .start,
                    limits: SlotLimits(),
                    isBootstrapping: true
                )
            } == .trimmed
        )
        #expect(engine.slots == [])
        #expect(try engine.bootstrap(slot: "a").position.sequence == UInt64(end))
        try engine.close()
    }

    @Test func aBootstrapBeginsAgainOrGoesOnAfterACrashAtAnyStep() throws {
        let fileSystem = SimulatedFileSystem(profile: .strict)
        let clock = SimulatedClock()
        let engine = try openSimulated(fileSystem, clock: clock)
        let stepper = EngineStepper(engine)
        for number in 1...5 { _ = try stepper.put("\(number)", for: "k\(number)", ack: .wal) }
        let begin = fileSystem.traceEnd
        let start = try engine.bootstrap(slot: "a").position
        for number in 6...9 { _ = try stepper.put("\(number)", for: "k\(number)", ack: .disk) }
        try engine.acknowledge(start, slot: "a")
        clock.advance(by: 1_000_000_000)
        for _ in 0..<20 { stepper.work() }

        var history = fileSystem.history()
        var generator = SeededGenerator(seed: 3)
        var seen: Set<Bool> = []
        for position in begin...history.end {
            history.advance(to: position)
            for policy in CrashPolicy.each(using: &generator) {
                let image = history.crashed(policy, using: &generator)
                let isDone = try expectToGoOn(image, from: start, "\(position), \(policy)")
                seen.insert(isDone)
            }
        }
        #expect(seen == [true, false])
    }

    /// A consumer that was interrupted goes on with its slot, or makes its bootstrap again; returns
    /// whether it had acknowledged that.
    private func expectToGoOn(
        _ image: SimulatedFileSystem,
        from start: Position,
        _ what: String
    ) throws -> Bool {
        let engine = try openSimulated(image)
        let last = engine.lastSequence
        let isDone = engine.slots.first.map { !$0.isBootstrapping } ?? false
        if isDone {
            #expect(engine.slots.map(\.position) == [start], "\(what)")
            #expect(code { _ = try engine.bootstrap(slot: "a") } == .invalidArgument, "\(what)")
        } else {
            let again = try engine.bootstrap(slot: "a")
            #expect(again.position.sequence == last, "\(what)")
            #expect(again.snapshot.sequence == last, "\(what)")
            try engine.acknowledge(again.position, slot: "a")
        }
        let behind = isDone ? start.sequence : last
        _ = try EngineStepper(engine).put("new", for: "k", ack: .disk)
        #expect(
            try sequences(engine.changeCursor(slot: "a")) == Array(behind + 1...last + 1),
            "\(what)"
        )
        return isDone
    }

    @Test func aSlotThatCannotBeWrittenIsNotThere() throws {
        let fileSystem = SimulatedFileSystem(profile: .strict)
        let engine = try openSimulated(fileSystem)
        _ = try EngineStepper(engine).put("1", for: "k", ack: .disk)
        for call in [SimulatedCall.create, .write, .dataSync, .rename] {
            fileSystem.inject(SimulatedFault(call, errno: 5) { $0.hasPrefix("SLOTS") })
            #expect(code { try engine.createSlot("a") } == .io, "\(call)")
            #expect(engine.slots == [], "\(call)")
        }
        try engine.createSlot("a")
        #expect(engine.slots.map(\.name) == ["a"])
    }

    @Test func aStoreWhoseFirstAppendWasRefusedOpensAgain() throws {
        let fileSystem = SimulatedFileSystem(profile: .ext4)
        var engine = try openSimulated(fileSystem)
        _ = try EngineStepper(engine).put("1", for: "a", ack: .disk)
        try engine.close()
        for round in 0..<3 {
            engine = try openSimulated(fileSystem)
            let stepper = EngineStepper(engine)
            // The header gets in, the frame does not.
            fileSystem.inject(SimulatedFault(.write, errno: 28, occurrence: 2))
            #expect(try stepper.put("2", for: "b", ack: .wal).code == .noSpace, "round \(round)")
            if round == 1 { #expect(try stepper.put("3", for: "c", ack: .disk).code == nil) }
            try engine.close()
        }

        engine = try openSimulated(fileSystem)
        #expect(try contents(engine) == ["a": "1", "c": "3"])
        #expect(try sequences(engine.changeCursor()).count == 2)
        _ = try engine.verify()
    }
}

/// The pure decision which log files may go.
@Suite struct LogRetentionTests {
    private let files = (1...10).map { number in
        LogRetention.File(
            number: UInt64(number),
            size: 100,
            lastSequence: UInt64(number * 10),
            time: UInt64(number * 1000)
        )
    }

    private func slot(
        _ name: String,
        at sequence: UInt64,
        size: UInt64 = .max,
        age: Int64 = 1_000_000
    ) -> Slot {
        Slot(
            name: name,
            position: Position(sequence: sequence),
            limits: SlotLimits(size: size, age: .milliseconds(age)),
            isBootstrapping: false,
            creationTime: 0,
            acknowledgementTime: 0
        )
    }

    private func decide(
        _ slots: [Slot],
        window: UInt64 = 0,
        age: UInt64 = .max,
        slotsSize: UInt64 = .max,
        now: UInt64 = 10_000
    ) -> LogRetention.Decision {
        LogRetention(size: window, age: age, slotsSize: slotsSize)
            .decision(files, slots, now: now)
    }

    @Test func withoutSlotsTheNewestFilesStayWithinSizeAndAge() {
        #expect(decide([]).removable == 10)
        #expect(decide([], window: 350).removable == 7)
        #expect(decide([], window: 10_000).removable == 0)
        #expect(decide([], window: 10_000, age: 2500).removable == 7)
        // A clock that was set back makes nothing old.
        #expect(decide([], window: 10_000, age: 0, now: 500).removable == 0)
    }

    @Test func aSlotKeepsEveryFileFromItsPositionOn() {
        #expect(decide([slot("a", at: 55)]).removable == 5)
        #expect(decide([slot("a", at: 60)]).removable == 6)
        #expect(decide([slot("a", at: 95), slot("b", at: 15)]).removable == 1)
        #expect(decide([slot("a", at: 100)]).removable == 10)
        #expect(decide([slot("a", at: 95)], window: 500).removable == 5)
    }

    @Test func aSlotOverItsLimitsIsLostAndKeepsNothing() {
        let greedy = decide([slot("a", at: 15, size: 500), slot("b", at: 75)])
        #expect(greedy.lost == ["a"] && greedy.removable == 7)
        let old = decide([slot("a", at: 15, age: 1000)], now: 20_000)
        #expect(old.lost == ["a"] && old.removable == 10)
        // One with narrower limits, before which another stands.
        let narrow = decide([slot("a", at: 15), slot("b", at: 35, size: 100)])
        #expect(narrow.lost == ["b"] && narrow.removable == 1)
    }

    @Test func allSlotsTogetherKeepNoMoreThanTheirLimit() {
        let decision = decide(
            [slot("a", at: 5), slot("b", at: 35), slot("c", at: 75)],
            slotsSize: 500
        )
        #expect(decision.lost == ["a", "b"])
        #expect(decision.removable == 7)
    }
}

/// The bytes of the file SLOTS.
@Suite struct SlotFormatTests {
    private let historyID = UniqueID(high: 1, low: 2)

    private var slots: [Slot] {
        [
            Slot(
                name: "a",
                position: Position(
                    epoch: Epoch(number: 3, starter: 4),
                    sequence: 5,
                    logHash: 6
                ),
                limits: SlotLimits(size: 7, age: .milliseconds(8)),
                isBootstrapping: true,
                creationTime: 9,
                acknowledgementTime: 10
            ),
            Slot(
                name: "b.c-d_e",
                position: Position(sequence: 11),
                limits: SlotLimits(),
                isBootstrapping: false,
                creationTime: 12,
                acknowledgementTime: 13
            ),
        ]
    }

    private func decode(_ bytes: [UInt8]) throws -> [Slot] {
        try bytes.withUnsafeBytes { try SlotFormat.decode($0, historyID: historyID) }
    }

    @Test func goldenBytes() throws {
        let buffer = SlotFormat.encode(slots.reversed(), historyID: historyID)
        let bytes = Array(buffer.bytes)
        func words(_ numbers: UInt64...) -> [UInt8] {
            numbers.flatMap { number in
                (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            }
        }
        let first = [1, 0x61, 3] + words(3, 4, 5, 6, 9, 10, 7, 8)
        #expect(Array(bytes[..<8]) == Array("SESLOTS\n".utf8))
        #expect(Array(bytes[8..<16]) == [1, 0, 0, 0, 2, 0, 0, 0])
        #expect(Array(bytes[16..<48]) == words(0, 0, 1, 2))
        #expect(Array(bytes[48..<48 + first.count]) == first)
        #expect(bytes.count == 48 + first.count + 73 + 8)
        #expect(try decode(bytes) == slots)
    }

    @Test func everyFlippedByteAndEveryTruncationIsRefused() throws {
        let buffer = SlotFormat.encode(slots, historyID: historyID)
        let bytes = Array(buffer.bytes)
        for index in bytes.indices {
            var flipped = bytes
            flipped[index] ^= 0x41
            let isIgnorable = (24..<32).contains(index)
            #expect(
                code { _ = try self.decode(flipped) } != nil || isIgnorable,
                "byte \(index)"
            )
            #expect(
                code { _ = try self.decode(Array(bytes[..<index])) } != nil,
                "cut at \(index)"
            )
        }
    }
}
