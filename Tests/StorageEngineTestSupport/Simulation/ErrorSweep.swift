internal import Glibc

/// Every call of a small workload failing, one after the other: once, and from there on for good.
/// Each case is a simulated run of its own, with all of its checks.
package struct ErrorSweep: Sendable {
    private let seed: UInt64
    private let operations: Int
    /// The calls of the run without a fault.
    private let calls: [SimulatedCall]

    /// Runs the workload once, to count its calls.
    package init(seed: UInt64, operations: Int) throws {
        self.seed = seed
        self.operations = operations
        var plan = Self.plan(operations)
        plan.recordsCalls = true
        let run = try SimulatedRun(seed: seed, plan)
        try run.run()
        calls = run.calls.map(\.call)
    }

    fileprivate static func plan(_ operations: Int) -> SimulatedRun.Plan {
        var plan = SimulatedRun.Plan()
        plan.operations = operations
        plan.samples = 1
        return plan
    }

    package var callCount: Int { calls.count }

    /// The faults of every so many calls.
    package func cases(stride step: Int) -> [Case] {
        var counts: [SimulatedCall: Int] = [:]
        let numbers = calls.map { call in
            counts[call, default: 0] += 1
            return counts[call] ?? 0
        }
        return stride(from: 0, to: calls.count, by: step).flatMap { index in
            Self.faults(calls[index]).flatMap { fault in
                [SimulatedFault.Duration.once, .forever].map {
                    Case(
                        seed: seed,
                        operations: operations,
                        number: numbers[index],
                        call: calls[index],
                        kind: fault,
                        duration: $0
                    )
                }
            }
        }
    }

    /// How a call may fail.
    package struct Kind: Sendable, Hashable {
        var errno: Int32?
        var bytesDone: Int?
        var takesEffect = false
    }

    private static func faults(_ call: SimulatedCall) -> [Kind] {
        let common = [Kind(errno: EIO), Kind(errno: EINTR)]
        switch call {
        case .write:
            return common + [
                Kind(errno: ENOSPC), Kind(errno: EDQUOT), Kind(errno: EFBIG),
                Kind(bytesDone: 1), Kind(bytesDone: 100), Kind(errno: EIO, bytesDone: 50),
                Kind(errno: EIO, takesEffect: true),
            ]
        case .read: return common + [Kind(bytesDone: 1), Kind(errno: EIO, bytesDone: 10)]
        case .dataSync, .syncDirectory:
            return common + [Kind(errno: ENOSPC), Kind(errno: EIO, takesEffect: true)]
        case .create, .makeDirectory:
            return common + [
                Kind(errno: EMFILE), Kind(errno: ENOSPC), Kind(errno: EROFS),
                Kind(errno: EIO, takesEffect: true),
            ]
        case .open, .openDirectory: return common + [Kind(errno: EMFILE), Kind(errno: EACCES)]
        case .rename, .link, .unlink, .removeDirectory:
            return common + [Kind(errno: EROFS), Kind(errno: EIO, takesEffect: true)]
        case .allocate, .truncate: return common + [Kind(errno: ENOSPC)]
        case .close, .size, .list, .lock, .freeSpace, .permissions: return [Kind(errno: EIO)]
        }
    }

    /// One call that fails.
    package struct Case: Sendable, CustomStringConvertible {
        let seed: UInt64
        let operations: Int
        let number: Int
        let call: SimulatedCall
        let kind: Kind
        let duration: SimulatedFault.Duration

        package var description: String {
            "seed \(seed), \(operations) operations, call \(number), \(call.rawValue), "
                + "errno \(kind.errno ?? 0), bytes \(kind.bytesDone ?? -1), "
                + "takes effect \(kind.takesEffect), \(duration)"
        }

        /// Runs the workload with the fault; what came of it is what the catalogue says.
        package func run() throws -> Tally {
            var plan = ErrorSweep.plan(operations)
            var fault = SimulatedFault(
                call,
                errno: kind.errno,
                bytesDone: kind.bytesDone,
                occurrence: number,
                duration: duration
            )
            fault.takesEffect = kind.takesEffect
            plan.fault = fault
            plan.recordsCalls = true
            let run = try SimulatedRun(seed: seed, plan)
            try run.run()
            var tally = run.tally
            try tally.add("faults", FaultVerdict(run, call, kind, duration).text(description))
            return tally
        }
    }
}
