internal import ArgumentParser
package import StorageEngine

/// The form of what is printed.
package enum OutputFormat: String, CaseIterable, ExpressibleByArgument, Sendable {
    case text, json
}

extension AckPoint {
    /// The point of a name: memory, wal or disk.
    package init?(name: String) {
        guard let point = AckPoint.allCases.first(where: { $0.name == name }) else { return nil }
        self = point
    }

    /// As in the arguments and in JSON.
    package var name: String {
        switch self {
        case .memory: "memory"
        case .wal: "wal"
        case .disk: "disk"
        }
    }
}

/// An ack point on the command line.
package enum AckArgument: String, CaseIterable, ExpressibleByArgument, Sendable {
    case memory, wal, disk

    package var point: AckPoint {
        switch self {
        case .memory: .memory
        case .wal: .wal
        case .disk: .disk
        }
    }
}
