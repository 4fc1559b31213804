import Foundation
import StorageEngine
import ToolSupport

/// The members of one store, each a process of its own, on this machine; every link between two of
/// them can be cut.
///
/// Thread safety: every method may be called from any thread; only one at a time changes a node.
final class DrillCluster: @unchecked Sendable {
    let ids: [UniqueID]
    private let executable: String
    private let directory: String
    private let settings: [String: String]
    private let network: any DrillNetwork
    private let lock = Lock()
    // What the lock protects.
    private var nodes: [NodeProcess?]

    /// - Parameters:
    ///   - count: How many members, all of them voters.
    ///   - directory: Where their directories and logs are made; it exists.
    ///   - executable: The path of `enginenode`.
    ///   - settings: More variables of the environment for all of them.
    ///   - hasNamespaces: Whether each of them is in a network namespace of its own, see
    ///     ``NamespaceNetwork``.
    /// - Throws: When the network cannot be made.
    init(
        count: Int,
        directory: String,
        executable: String,
        settings: [String: String] = [:],
        hasNamespaces: Bool = false
    ) throws {
        ids = (1...UInt64(count)).map { UniqueID(high: $0, low: 0xd1) }
        nodes = ids.map { _ in nil }
        self.directory = directory
        self.executable = executable
        self.settings = settings
        network =
            hasNamespaces
            ? try NamespaceNetwork(ids, in: directory) : try LoopbackNetwork(ids)
    }

    /// Kills what still runs, and takes the network away.
    func end() throws {
        for index in ids.indices { kill(index) }
        try network.end()
    }

    // MARK: Nodes

    /// Starts a node, which must not run; waits until it serves. It follows, unless the arguments
    /// say otherwise.
    func start(_ index: Int, as arguments: String...) throws {
        let words = [executable] + (arguments.isEmpty ? ["follower"] : arguments)
        let node = try NodeProcess(
            network.command(index, words),
            environment: environment(of: index),
            log: "\(directory)/node-\(index).log"
        )
        lock.with { nodes[index] = node }
        try network.started(index, node)
    }

    private func environment(of index: Int) -> [String: String] {
        let own = [
            "ENGINENODE_STORE": path(of: index), "ENGINENODE_MEMBER": "\(ids[index])",
            "ENGINENODE_VOTERS": ids.map { "\($0)" }.joined(separator: ","),
        ]
        return settings.merging(own) { $1 }.merging(network.environment(of: index)) { $1 }
    }

    /// A member's directory.
    func path(of index: Int) -> String { "\(directory)/node-\(index)" }

    /// The directory of the store that a member has now, which MEMBER names: the last one.
    ///
    /// - Throws: When there is none.
    func storePath(of index: Int) throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: path(of: index))
        guard let last = names.filter({ $0.hasPrefix("store-") }).max() else {
            throw ToolError("looking for a store: none in \(path(of: index))", exit: .other)
        }
        return "\(path(of: index))/\(last)"
    }

    private func node(_ index: Int) -> NodeProcess? { lock.with { nodes[index] } }

    func kill(_ index: Int) {
        node(index)?.kill()
        lock.with { nodes[index] = nil }
    }

    /// Removes the directory of a node that does not run.
    ///
    /// - Throws: When it cannot be removed.
    func empty(_ index: Int) throws {
        try FileManager.default.removeItem(atPath: path(of: index))
    }

    /// How many lines of all nodes' logs tell of something.
    ///
    /// - Throws: When a log cannot be read.
    func noticeCount(_ event: String) throws -> Int {
        try ids.indices.reduce(0) { count, index in
            let log = try String(contentsOfFile: "\(directory)/node-\(index).log", encoding: .utf8)
            return count + log.split(separator: "\n").count { $0.contains(": \(event)") }
        }
    }

    func pause(_ index: Int) { node(index)?.pause() }

    func resume(_ index: Int) { node(index)?.resume() }

    /// Asks a node to end; returns whether it ended cleanly.
    func terminate(_ index: Int) -> Bool {
        let status = node(index)?.terminate()
        lock.with { nodes[index] = nil }
        return status == 0
    }

    func isRunning(_ index: Int) -> Bool { node(index)?.isRunning ?? false }

    // MARK: Links

    /// Sets every link from and to a node.
    func setLinks(of index: Int, _ state: LinkState) throws {
        try network.setLinks(of: index, state)
    }

    // MARK: Questions

    /// Asks a node; `nil` while it does not run.
    func client(_ index: Int) -> NodeClient? { node(index).map { network.client(index, $0) } }

    func index(of id: String) -> Int? { ids.firstIndex { "\($0)" == id } }

    /// What each node says; `nil` for one that does not answer.
    func reports() async -> [NodeReport?] {
        var reports: [NodeReport?] = []
        for index in ids.indices {
            do {
                reports.append(try await client(index)?.report())
            } catch {
                reports.append(nil)
            }
        }
        return reports
    }

    /// Waits until one node leads, all others follow it, and none is suspect.
    ///
    /// - Returns: Which one leads.
    /// - Throws: `ToolError` when that does not come to be within a minute.
    @discardableResult
    func settle() async throws -> Int {
        var last: [NodeReport?] = []
        for _ in 0..<1_200 {
            last = await reports()
            if let leader = settled(last) { return leader }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ToolError("the members do not settle: \(Self.summary(last))", exit: .other)
    }

    private func settled(_ reports: [NodeReport?]) -> Int? {
        let leaders = reports.indices.filter { reports[$0]?.role == "leader" }
        guard leaders.count == 1, let leader = leaders.first else { return nil }
        let areAll = reports.indices.allSatisfy { index in
            guard let report = reports[index], !report.suspect else { return false }
            return index == leader
                || (report.role == "follower" && report.leader == "\(ids[leader])")
        }
        return areAll ? leader : nil
    }

    /// Waits until all nodes have the same position.
    ///
    /// - Throws: `ToolError` when that does not come to be within a minute.
    func catchUp() async throws {
        var last: [NodeReport?] = []
        for _ in 0..<1_200 {
            last = await reports()
            let positions = Set(last.map { $0?.position })
            if positions.count == 1, positions.first != .some(nil) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ToolError("the members do not catch up: \(Self.summary(last))", exit: .other)
    }

    private static func summary(_ reports: [NodeReport?]) -> String {
        let parts = reports.enumerated().map { index, report in
            guard let report else { return "#\(index) does not answer" }
            return "#\(index) \(report.role) at \(report.position)"
                + (report.suspect ? " suspect" : "") + (report.trouble.map { " (\($0))" } ?? "")
        }
        return parts.joined(separator: ", ")
    }

    // MARK: Verdict

    /// Compares every store with the first one; the nodes must have ended.
    ///
    /// - Returns: What differs; empty when all are equal.
    func differences() throws -> [String] {
        let first = try storePath(of: 0)
        var found: [String] = []
        for index in ids.indices.dropFirst() {
            let other = try storePath(of: index)
            let diff = try StoreDiff(first, other, StoreDiff.Settings()) { difference in
                if found.count < 20 { found.append("#0 and #\(index): \(difference)") }
            } errors: { place, error in
                found.append("#0 and #\(index), \(place): \(error)")
            }
            let summary = try diff.run()
            if summary.lastSequenceA != summary.lastSequenceB {
                found.append(
                    "#0 ends at \(summary.lastSequenceA), #\(index) at \(summary.lastSequenceB)"
                )
            }
            if summary.isDamaged || summary.hasMissingFiles { found.append("#\(index) is damaged") }
            if summary.keys != summary.equal { found.append("#\(index) has other keys") }
        }
        return found
    }
}
