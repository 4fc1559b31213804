internal import Replication
internal import StorageEngine
internal import ToolSupport

extension Router {
    private static let octets = "application/octet-stream"

    func get(_ key: [UInt8]) -> Route {
        Route(needed: .read) { [node] request in
            try request.head.expect(["after"])
            let after = try request.head.position("after")
            guard let value = try await node.value(for: key, after: after) else {
                throw HTTPProblem(.notFound, code: "keyNotFound", "the key is not there")
            }
            return HTTPResponse(type: Self.octets, body: .bytes(value))
        }
    }

    func put(_ key: [UInt8]) -> Route {
        Route(needed: .write, bodySizeMax: Limits.valueSize) { [node] request in
            var batch = WriteBatch()
            try batch.put(request.body, for: key)
            return try await Self.write(batch, to: node, request.head)
        }
    }

    func delete(_ key: [UInt8]) -> Route {
        Route(needed: .write) { [node] request in
            var batch = WriteBatch()
            try batch.delete(key)
            return try await Self.write(batch, to: node, request.head)
        }
    }

    var batch: Route {
        Route(needed: .write, bodySizeMax: Self.batchSizeMax) { [node] request in
            var batch = WriteBatch()
            // Not split: a body of short lines would be many times as large.
            var (rest, number) = (request.body[...], 0)
            while !rest.isEmpty {
                let line = rest.prefix { $0 != 0x0a }
                rest = rest[line.endIndex...].dropFirst()
                number += 1
                guard !line.isEmpty else { continue }
                do throws(HTTPProblem) {
                    try batch.append(line)
                } catch {
                    throw HTTPProblem(error.status, "line \(number): \(error.message)")
                }
            }
            return try await Self.write(batch, to: node, request.head)
        }
    }

    private static func write(
        _ batch: consuming WriteBatch,
        to node: any Node,
        _ head: HTTPHead
    ) async throws -> HTTPResponse {
        let demand = try head.demand()
        return .json(try await node.write(batch, demand).json)
    }
}

extension NodeReceipt {
    var json: JSON {
        let reached = zip(ReplicaPoint.allCases, followers).map { point, count in
            (name: "\(point)", value: JSON.integer(count))
        }
        return .object([
            ("position", .string("\(position)")), ("sequence", .unsigned(position.sequence)),
            ("reached", .string(local.name)), ("followers", .object(reached)),
            ("degraded", .boolean(isDegraded)),
        ])
    }
}

extension HTTPHead {
    /// What a write waits for.
    fileprivate func demand() throws(HTTPProblem) -> WriteDemand {
        try expect(["ack", "followers", "at"])
        var demand = WriteDemand()
        if let point = try value("ack", "memory, wal or disk", { AckPoint(name: $0) }) {
            demand.local = point
        }
        let points = ReplicaPoint.allCases.map { "\($0)" }.joined(separator: ", ")
        let point =
            try value("at", "one of \(points)") { text in
                ReplicaPoint.allCases.first { "\($0)" == text }
            } ?? .disk
        let replicas = try value("followers", "a number from 0, or all") { text -> Requirement? in
            if text == "all" { return .allFollowers(at: point) }
            guard let count = Int(text), count >= 0 else { return nil }
            return .followers(count, at: point)
        }
        demand.replicas = replicas ?? .none
        return demand
    }

    func position(_ name: String) throws(HTTPProblem) -> Position? {
        try value(name, "epoch:sequence or epoch:sequence:logHash", { Position($0) })
    }
}

extension WriteBatch {
    /// Appends the operation of a line.
    fileprivate mutating func append(_ line: ArraySlice<UInt8>) throws(HTTPProblem) {
        let fields = try BatchLine(line)
        do throws(EngineError) {
            switch fields.operation {
            case "put": try put(try fields.bytes("value"), for: try fields.bytes("key"))
            case "delete": try delete(try fields.bytes("key"))
            case "deleteRange": try deleteRange(try fields.range())
            default: throw EngineError.invalidArgument("op is put, delete or deleteRange")
            }
        } catch {
            throw HTTPProblem(error)
        }
    }
}

/// A line of a batch: the members of its object.
private struct BatchLine {
    private let members: [String: JSONScanner.Member]
    let operation: String

    init(_ line: ArraySlice<UInt8>) throws(HTTPProblem) {
        var scanner = JSONScanner(line)
        let names = ["key", "value", "from", "to"]
        do throws(JSONScanner.Failure) {
            members = try scanner.members(Set(["op"] + names + names.map { $0 + "Base64" }))
        } catch {
            throw HTTPProblem(.badRequest, error.message)
        }
        guard case .string(let operation)? = members["op"] else {
            throw HTTPProblem(.badRequest, "op is missing")
        }
        self.operation = String(decoding: operation, as: UTF8.self)
    }

    func optional(_ name: String) throws(EngineError) -> [UInt8]? {
        switch (members[name], members[name + "Base64"]) {
        case (nil, nil): return nil
        case (.string(let bytes)?, nil): return bytes
        case (nil, .string(let text)?):
            guard let bytes = Base64.bytes(of: text) else {
                throw .invalidArgument("\(name)Base64 is not Base64")
            }
            return bytes
        default: throw .invalidArgument("\(name) or \(name)Base64 must be one string")
        }
    }

    func bytes(_ name: String) throws(EngineError) -> [UInt8] {
        guard let bytes = try optional(name) else {
            throw .invalidArgument("\(name) is missing")
        }
        return bytes
    }

    func range() throws(EngineError) -> KeyRange {
        guard let from = try optional("from") else {
            throw .invalidArgument("from is missing; all keys begin with an empty one")
        }
        return KeyRange(from: from, to: try optional("to"))
    }
}
