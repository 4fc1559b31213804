internal import ArgumentParser
internal import NodeService
internal import ToolSupport

/// Serves a store that takes writes.
struct LeaderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "leader",
        abstract: "Serves a store that takes writes.",
        discussion: """
            Without network.peers it serves a store that is alone. With them it is a member, which
            leads again after a clean end, finds out whether it may after any other, and follows if
            another one leads by now.

            --bootstrap belongs to the first start of the first member of all, and to no unit file:
            it begins the history, unless another voter shows that there is one. A member that lost
            its directory is started without it, and fed by the others.
            """
    )

    @OptionGroup var options: ServingOptions

    @Flag(help: "Begin the history of all members, if no other voter has one.")
    var bootstrap = false

    func run() throws {
        let (options, bootstrap) = (options, bootstrap)
        try waiting {
            let configuration = try await options.configuration()
            guard let cluster = configuration.cluster else {
                return try await Serving.alone(configuration)
            }
            try await Serving.member(configuration, cluster, beginsHistory: bootstrap)
        }
    }
}

/// Serves a copy of the leader's store.
struct FollowerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "follower",
        abstract: "Serves a member that follows, until it is promoted.",
        discussion: """
            A new one takes the history of whoever feeds it, as a copy of the whole state when that
            is needed. It never begins a history of its own.
            """
    )

    @OptionGroup var options: ServingOptions

    func run() throws {
        let options = options
        try waiting {
            let configuration = try await options.configuration()
            guard let cluster = configuration.cluster else {
                throw ToolError("reading the configuration: a follower needs network.peers")
            }
            try await Serving.member(configuration, cluster, beginsHistory: false)
        }
    }
}
