internal import Replication
internal import StorageEngine

/// Puts one key a step, through the leader of a replicated store.
struct ReplicaPutJob: Job {
    private let leader: Member
    private let ack: AckPoint
    private let requirements: [Requirement]
    /// The next of them.
    private var turn: Int
    private let order: KeyOrder
    private var keys: KeyMaker
    private var values: ValueMaker

    init(
        _ context: JobContext,
        _ leader: Member,
        _ order: KeyOrder,
        _ requirements: [Requirement],
        worker: Int
    ) {
        self.leader = leader
        ack = context.ack
        self.requirements = requirements
        turn = worker
        self.order = order
        keys = context.keys(worker)
        values = context.valueMaker(worker)
    }

    mutating func step() throws -> Step {
        keys.make(order)
        let range = values.next()
        try leader.put(
            values.bytes.span.extracting(range),
            for: keys.bytes,
            ack: ack,
            replicas: nextRequirement()
        )
        return Step(operations: 1, bytes: keys.bytes.count + range.count)
    }

    mutating func stepAsync() async throws -> Step {
        keys.make(order)
        let range = values.next()
        try await leader.put(
            values.bytes.span.extracting(range),
            for: keys.bytes,
            ack: ack,
            replicas: nextRequirement()
        )
        return Step(operations: 1, bytes: keys.bytes.count + range.count)
    }

    private mutating func nextRequirement() -> Requirement {
        defer { turn &+= 1 }
        return requirements[turn % requirements.count]
    }
}
