import StorageEngine

// Who reads the changes of a run's store, and what all of them must have at some moments.

extension SimulatedRun {
    /// Makes the consumers and the follower of the seed; one run in four has none.
    func invite() throws {
        guard Int.random(in: 0..<4, using: &audience) > 0 else { return }
        let prefix = Array((workload.keys.randomElement(using: &audience) ?? []).prefix(1))
        let limit = UInt64.random(in: 10_000...100_000, using: &audience)
        let all = [
            SimulatedConsumer(.memory),
            SimulatedConsumer(.memory, slot: SimulatedSlot("memory", limit: nil)),
            SimulatedConsumer(.wal, slot: SimulatedSlot("wal", limit: nil)),
            SimulatedConsumer(.wal),
            SimulatedConsumer(.disk),
            SimulatedConsumer(.disk, slot: SimulatedSlot("disk", limit: nil)),
            SimulatedConsumer(
                .disk,
                filter: KeyRange(prefix: prefix),
                slot: SimulatedSlot("filtered", limit: nil)
            ),
            SimulatedConsumer(.wal, filter: KeyRange(from: prefix)),
            SimulatedConsumer(.disk, slot: SimulatedSlot("narrow", limit: limit)),
        ]
        consumers = all.filter { _ in Int.random(in: 0..<5, using: &audience) < 2 }
        guard Bool.random(using: &audience) else { return }
        let horizon = [AckPoint.memory, .wal, .disk].randomElement(using: &audience) ?? .disk
        let sizes: [UInt64] = [16_384, 30_000, 100_000]
        let follower = try SimulatedFollower(
            self,
            horizon,
            logFileSize: sizes.randomElement(using: &audience) ?? 16_384,
            seed: audience.next()
        )
        self.follower = follower
        // Its place is `nil` without a slot, and the start with one.
        try change(follower.slot, to: .start) { () throws(EngineError) in
            try engine.createSlot(follower.slot.name, after: .start)
        }
    }

    /// What each consumer has made of the changes is what the store held where it is.
    func checkConsumers() throws {
        for consumer in consumers {
            let place = consumer.position
            // What a consumer has seen may have been lost since.
            guard isHere(place), feed.entry(at: place.sequence)?.position != nil else { continue }
            if let complaint = consumer.complaint(in: model) {
                throw fail(.wrongRead, "\(consumer.name): \(complaint)")
            }
            tally.add("feed", "views compared")
        }
    }

    /// What consumers would find in an image that was opened before.
    func checkConsumers(
        of image: SimulatedFileSystem,
        _ clock: SimulatedClock,
        _ crash: Crash
    ) throws {
        let what = crash.text + ", feed"
        let engine = try open(image, clock, what, floor: 0)
        try checkFeed(of: engine, at: crash.position, what)
    }
}
