public import ArgumentParser
public import StorageEngine

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

extension AckPoint: ExpressibleByArgument {
    /// The point of a name.
    public init?(argument: String) { self.init(name: argument) }

    /// The names, for help.
    public static var allValueStrings: [String] { allCases.map(\.name) }

    /// The name, for help.
    public var defaultValueDescription: String { name }
}
