/// What the links of a member are like.
enum LinkState: Sendable {
    case open
    /// They are ended, and new ones are not possible.
    case cut
    /// They stay, and nothing comes through.
    case silent
}

/// What connects the nodes, with each other and with the drill.
///
/// Thread safety: every method may be called from any thread; only one at a time for a node.
protocol DrillNetwork: Sendable {
    /// The command that runs a node.
    func command(_ index: Int, _ words: [String]) -> [String]
    /// What a node must know of addresses and certificates.
    func environment(of index: Int) -> [String: String]
    /// A node serves.
    func started(_ index: Int, _ node: NodeProcess) throws
    /// Asks a node.
    func client(_ index: Int, _ node: NodeProcess) -> NodeClient
    /// Sets every link from and to a node.
    func setLinks(of index: Int, _ state: LinkState) throws
    /// Takes the network away; no node runs.
    func end() throws
}
