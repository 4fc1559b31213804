internal import Replication
internal import StorageEngine
internal import ToolSupport

extension Session {
    mutating func runReplicas(_ benchmark: Benchmark, _ ack: AckPoint?, _ crew: Crew) throws {
        switch benchmark {
        case .replicaAcks: try runReplicaAcks(ack ?? .wal, crew)
        case .replicaLag: try runReplicaLag(ack ?? .wal, crew)
        case .replicaCatchup: try runReplicaCatchup()
        case .replicaCopy: try runReplicaCopy()
        default: preconditionFailure("\(benchmark.rawValue) is not replicated")
        }
    }

    /// An empty cluster in the database's directory.
    private mutating func makeCluster(
        followers: Int,
        authority: ReplicaAuthority? = nil,
        retainedLogSize: UInt64? = nil,
        opensFollowers: Bool = true
    ) throws -> ReplicaCluster {
        try database.makeEmpty()
        var options = settings.engineOptions
        if let retainedLogSize { options.retainedLogSize = retainedLogSize }
        return try ReplicaCluster(
            at: database.path,
            followers: followers,
            options,
            authority: authority,
            opensFollowers: opensFollowers
        )
    }

    // MARK: Acks

    /// Puts of random keys on a store that nobody follows, then for each requirement.
    private mutating func runReplicaAcks(_ ack: AckPoint, _ crew: Crew) throws {
        let followers = settings.followers
        var cluster = try makeCluster(followers: 0)
        let alone = try runPuts(.alone, ack, crew, cluster)
        try cluster.close()
        var comparison = ReplicaComparison(
            ack: ack,
            crew: crew,
            followers: followers,
            alone: alone
        )
        cluster = try makeCluster(followers: followers)
        for row in ReplicaRow.matrix(followers: followers) {
            comparison.add(row, try runPuts(row, ack, crew, cluster))
            try cluster.waitForFollowers()
        }
        try cluster.close()
        if let authority = try ReplicaAuthority(memberCount: followers + 1) {
            cluster = try makeCluster(followers: followers, authority: authority)
            comparison.add(.secured, try runPuts(.secured, ack, crew, cluster))
            try cluster.close()
        } else {
            ToolOutput.complain("warning: no row with TLS: openssl cannot make certificates")
        }
        try report(comparison)
    }

    private mutating func runPuts(
        _ row: ReplicaRow,
        _ ack: AckPoint,
        _ crew: Crew,
        _ cluster: ReplicaCluster
    ) throws -> Tally {
        let leader = try cluster.leader
        guard let engine = leader.engine else { throw EngineError.closed }
        let context = context(engine, ack)
        let tally = try crew.run(limit(of: .replicaAcks, crew)) { worker in
            ReplicaPutJob(context, leader, .random, row.requirements, worker: worker)
        }
        try report(figures(.replicaAcks, ack, crew, tally, row.name))
        return tally
    }

    private func figures(
        _ benchmark: Benchmark,
        _ ack: AckPoint?,
        _ crew: Crew,
        _ tally: Tally,
        _ replicas: String?
    ) -> Figures {
        var figures = Figures(
            benchmark: benchmark.rawValue,
            ack: ack,
            crew: crew,
            tally: tally,
            log: nil,
            countsFound: false
        )
        figures.replicas = replicas
        return figures
    }

    // MARK: Lag

    /// Puts that wait for no follower, and how long they take to be readable at all of them.
    private mutating func runReplicaLag(_ ack: AckPoint, _ crew: Crew) throws {
        let cluster = try makeCluster(followers: settings.followers)
        let leader = try cluster.leader
        let engines = try (0...settings.followers).map { index in
            guard let engine = try cluster.member(index).engine else { throw EngineError.closed }
            return engine
        }
        let context = context(engines[0], ack)
        let probe = LagProbe(engines[0], Array(engines.dropFirst()))
        let written = Result {
            try crew.run(limit(of: .replicaLag, crew)) { worker in
                ReplicaPutJob(context, leader, .random, [.none], worker: worker)
            }
        }
        probe.stop()
        let end = Clock.now
        try report(figures(.replicaLag, ack, crew, written.get(), "none"))
        try cluster.waitForFollowers()
        var lag = ReplicaLag(ack: ack, crew: crew, followers: settings.followers)
        lag.sequences = probe.sequences
        lag.settling = Clock.now - end
        var ages = Tally()
        ages.latencies = probe.ages
        ages.operations = Int(probe.ages.count)
        var row = figures(.replicaLag, nil, crew, ages, nil)
        row.benchmark = "replica-age"
        row.crew = nil
        try report(row)
        try report(lag)
        try cluster.close()
    }

    // MARK: Catching up

    /// How fast a follower that was away takes in what the leader's log has.
    private mutating func runReplicaCatchup() throws {
        let cluster = try makeCluster(followers: 1, retainedLogSize: .max)
        try cluster.close(1)
        let bytes = try fill(cluster, batchSize: settings.batchSize ?? 1)
        try runFollower(cluster, .replicaCatchup, operations: settings.num, bytes: bytes)
    }

    /// How fast a new follower gets the files of a store whose log does not go back far enough.
    private mutating func runReplicaCopy() throws {
        let cluster = try makeCluster(
            followers: 1,
            retainedLogSize: 0,
            opensFollowers: false
        )
        _ = try fill(cluster, batchSize: settings.batchSize ?? 100)
        guard let engine = try cluster.leader.engine else { throw EngineError.closed }
        try engine.flush()
        try engine.waitForCompactions()
        try engine.trimLog(through: engine.lastSequence)
        try runFollower(cluster, .replicaCopy, operations: settings.num, bytes: nil)
    }

    /// Puts all keys through the leader.
    ///
    /// - Returns: The bytes of keys and values.
    private func fill(_ cluster: ReplicaCluster, batchSize: Int) throws -> Int {
        let leader = try cluster.leader
        guard let engine = leader.engine else { throw EngineError.closed }
        let context = context(engine, .memory)
        var keys = context.keys(0)
        var values = context.valueMaker(0)
        var batch = WriteBatch()
        var bytes = 0
        for number in 1...settings.num {
            keys.makeNext()
            let range = values.next()
            try batch.put(values.bytes.span.extracting(range), for: keys.bytes)
            bytes += keys.bytes.count + range.count
            guard number % batchSize == 0 || number == settings.num else { continue }
            try leader.write(batch, ack: .memory)
            batch.removeAll()
        }
        try engine.sync()
        return bytes
    }

    /// Opens the follower, and measures until it has everything.
    private mutating func runFollower(
        _ cluster: ReplicaCluster,
        _ benchmark: Benchmark,
        operations: Int,
        bytes: Int?
    ) throws {
        let start = Clock.now
        try cluster.open(1)
        try cluster.waitForFollowers()
        var tally = Tally()
        tally.elapsed = Clock.now - start
        tally.operations = operations
        tally.bytes = bytes ?? Int(cluster.receivedBytes(1))
        tally.latencies.record(tally.elapsed)
        try report(figures(benchmark, nil, .threads(1), tally, nil))
        try cluster.close()
    }
}
