internal import ArgumentParser
internal import StorageEngine
internal import ToolSupport

struct Slots: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows and changes the slots: the consumers for whom the log is kept.",
        discussion: """
            Examples:
              enginectl --db DIR slots
              enginectl --db DIR slots create search --size 1000000000 --age 86400
              enginectl --db DIR slots ack search 3-00ff00ff00ff00ff:1042
              enginectl --db DIR slots drop search
            """,
        subcommands: [List.self, Create.self, Drop.self, Acknowledge.self],
        defaultSubcommand: List.self
    )

    @ParentCommand var store: EngineCtl

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Prints every slot, and how far its consumer is behind."
        )

        @ParentCommand var slots: Slots
        @Option(help: "text: a line a slot; json: one object a line.")
        var format = OutputFormat.text

        func run() throws {
            let engine = try slots.store.openForReading()
            for slot in engine.slots {
                switch format {
                case .json: try ToolOutput.print(JSON.object(slot.members).text)
                case .text:
                    let figures = slot.members.dropFirst().map {
                        "\($0.name)=\($0.value.plainText)"
                    }
                    try ToolOutput.print(([slot.name] + figures).joined(separator: " "))
                }
            }
        }
    }

    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Makes a slot: from now on the log is kept for it, within limits."
        )

        @ParentCommand var slots: Slots
        @Argument(help: "1 to 64 letters, digits, dots, dashes and underscores.")
        var name: String
        @Option(help: "The last sequence that the consumer has. Default: all there is.")
        var after: UInt64?
        @Option(help: "The most bytes of log files that it may keep.")
        var size = SlotLimits().size
        @Option(help: "The greatest age of what it may keep, in seconds.")
        var age: UInt32 = 7 * 24 * 3600

        func run() throws {
            let limits = SlotLimits(size: size, age: .seconds(age))
            try slots.change { engine in
                let position = after.map { Position(sequence: $0) }
                try engine.createSlot(name, after: position, limits: limits)
            }
        }
    }

    struct Drop: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Removes a slot: the log is not kept for it any more."
        )

        @ParentCommand var slots: Slots
        @Argument(help: "The slot.") var name: String

        func run() throws { try slots.change { engine in try engine.dropSlot(name) } }
    }

    struct Acknowledge: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ack",
            abstract: "Says that a slot's consumer has everything up to a position."
        )

        @ParentCommand var slots: Slots
        @Argument(help: "The slot.") var name: String
        @Argument(help: "EPOCH:SEQUENCE or EPOCH:SEQUENCE:LOGHASH, as list prints it.")
        var position: String

        func run() throws {
            guard let place = Position(position) else {
                throw ToolError("reading the arguments: '\(position)' is no position")
            }
            try slots.change { engine in try engine.acknowledge(place, slot: name) }
        }
    }

    /// Opens the store, lets a closure change its slots, and closes it: what was changed is on disk
    /// then.
    private func change(_ body: (Engine) throws -> Void) throws {
        let engine = try store.openForWriting(createIfMissing: false)
        let result = Result { try body(engine) }
        try engine.close()
        try result.get()
    }
}

extension Slot {
    /// The slot as figures; its name is the first.
    fileprivate var members: [(name: String, value: JSON)] {
        [
            ("name", .string(name)),
            ("position", .string(position.description)),
            ("lagSequences", .unsigned(lagSequences)),
            ("lagBytes", .unsigned(lagBytes)),
            ("lagMilliseconds", .unsigned(lagTime)),
            ("retainedBytes", .unsigned(retainedBytes)),
            ("lost", .boolean(isLost)),
            ("bootstrapping", .boolean(isBootstrapping)),
            ("sizeMax", .unsigned(limits.size)),
            ("ageMaxSeconds", .integer(Int(limits.age.components.seconds))),
            ("created", .unsigned(creationTime)),
            ("acknowledged", .unsigned(acknowledgementTime)),
        ]
    }
}
