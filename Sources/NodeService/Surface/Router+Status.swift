internal import Replication
internal import StorageEngine
internal import ToolSupport

extension Router {
    var page: Route {
        Route(needed: .none) { request in
            try request.head.expect([])
            var response = HTTPResponse(
                type: "text/html; charset=utf-8",
                body: .bytes(Array(statusPage.utf8))
            )
            response.headers = [
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                        + "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
                )
            ]
            return response
        }
    }

    var health: Route {
        Route(needed: .none) { [node] _ in
            let status = await node.status()
            let isWell = status.trouble == nil
            return .json(
                .object([
                    ("status", .string(isWell ? "ok" : "failing")),
                    ("role", .string(status.role.rawValue)),
                ]),
                status: isWell ? .ok : .unavailable
            )
        }
    }

    var status: Route {
        Route(needed: .read) { [node] request in
            try request.head.expect([])
            return .json(await node.status().json)
        }
    }

    var metrics: Route {
        Route(needed: .read) { [node] request in
            try request.head.expect([])
            return HTTPResponse(
                type: "text/plain; version=0.0.4; charset=utf-8",
                body: .bytes(Array(MetricsText(await node.status()).text.utf8))
            )
        }
    }

    var promote: Route {
        Route(needed: .admin) { [node] request in
            try request.head.expect(["acceptLoss"])
            let accepts = try request.head.value("acceptLoss", "yes or no") { text in
                ["yes": true, "no": false][text]
            }
            try await node.promote(acceptLoss: accepts ?? false)
            return .json(await node.status().json)
        }
    }
}

extension NodeStatus {
    /// What `/status` says, and `enginenode status` prints.
    var json: JSON {
        var object: [(name: String, value: JSON)] = [
            ("role", .string(role.rawValue)), ("member", .string("\(member)")),
            ("history", JSON(history)), ("leader", JSON(leader)), ("feeder", JSON(feeder)),
            ("epoch", .unsigned(epoch.number)), ("position", .string("\(position)")),
            ("sequence", .unsigned(position.sequence)),
            ("replicatedSequence", replicatedSequence.map { .unsigned($0) } ?? .null),
            ("suspect", .boolean(isSuspect)), ("shortfall", shortfall.json),
            ("missing", .array(missing.map { JSON($0) })),
            ("members", .array(members.map(\.json))),
        ]
        if let trouble { object.append(("trouble", .string(trouble))) }
        return .object(object)
    }
}

extension NodeStatus.Shortfall {
    var json: JSON {
        switch self {
        case .none: .object([("state", .string("none"))])
        case .waiting(let writes, let blockers):
            .object([
                ("state", .string("waiting")), ("writes", .integer(writes)),
                ("blockers", .array(blockers.map { .string("\($0)") })),
            ])
        case .degraded(let followers):
            .object([("state", .string("degraded")), ("followers", .integer(followers))])
        }
    }
}

extension NodeStatus.Member {
    var json: JSON {
        let points = reached.map { reached in
            zip(ReplicaPoint.allCases, reached).map { point, sequence in
                (name: "\(point)", value: JSON.unsigned(sequence))
            }
        }
        func lag(_ value: UInt64) -> JSON { reached == nil ? .null : .unsigned(value) }
        return .object([
            ("member", .string("\(id)")), ("address", .string(address)), ("role", .string(role)),
            ("connected", .boolean(isConnected)), ("reached", points.map { .object($0) } ?? .null),
            ("lagSequences", lag(lagSequences)), ("lagBytes", lag(lagBytes)),
            ("lagMilliseconds", lag(lagMilliseconds)),
        ])
    }
}

extension JSON {
    /// An identity as its digits, or `null`.
    init(_ id: UniqueID?) {
        self = id.map { .string("\($0)") } ?? .null
    }
}
