import Foundation
import Testing

/// The contract of `enginectl slots`, and of what `stats` says of slots.
struct SlotCommandTests {
    private let ctl: Ctl

    init() throws {
        ctl = try Ctl()
        for key in ["a", "b", "c"] { try #require(try ctl("put", key, "1").status == 0) }
    }

    private static let members: Set = [
        "name", "position", "lagSequences", "lagBytes", "lagMilliseconds", "retainedBytes", "lost",
        "bootstrapping", "sizeMax", "ageMaxSeconds", "created", "acknowledged",
    ]

    @Test func aSlotIsMadeMovedListedAndDropped() throws {
        let size = ["--size", "1000000", "--age", "3600"]
        let made = try ctl(
            "slots",
            "create",
            "search",
            "--after",
            "1",
            size[0],
            size[1],
            size[2],
            size[3]
        )
        #expect(made.status == 0 && made.output.isEmpty, "\(made.errors)")

        let slot = try ctl("slots", "--format", "json").object()
        #expect(Set(slot.keys) == Self.members)
        #expect(slot["name"] as? String == "search")
        #expect(slot["position"] as? String == "0-0000000000000000:1")
        #expect(slot["lagSequences"] as? Int == 2)
        #expect(slot["lagBytes"] as? Int ?? 0 > 0)
        #expect(slot["sizeMax"] as? Int == 1_000_000 && slot["ageMaxSeconds"] as? Int == 3600)
        #expect(slot["lost"] as? Bool == false && slot["bootstrapping"] as? Bool == false)
        #expect(try ctl("stats", "--format", "json").object()["slotLagSequences"] as? Int == 2)

        #expect(try ctl("slots", "ack", "search", "0-0000000000000000:3").status == 0)
        let moved = try ctl("slots", "list").lines
        #expect(moved.count == 1)
        #expect(moved[0].hasPrefix("search position=0-0000000000000000:3 lagSequences=0 "))
        let stats = try ctl("stats", "--format", "json").object()
        #expect(stats["slots"] as? Int == 1 && stats["lostSlots"] as? Int == 0)
        #expect(stats["slotLagBytes"] as? Int == 0 && stats["slotLagMilliseconds"] as? Int == 0)
        #expect(stats["retainedLogBytes"] as? Int == 0)

        #expect(try ctl("slots", "drop", "search").status == 0)
        #expect(try ctl("slots").output.isEmpty)
        #expect(try ctl("stats", "--format", "json").object()["slots"] as? Int == 0)
    }

    @Test func withoutAPositionASlotHasEverythingWrittenSoFar() throws {
        #expect(try ctl("slots", "create", "late").status == 0)

        let slot = try ctl("slots", "--format", "json").object()
        #expect(slot["lagSequences"] as? Int == 0)
        let position = try #require(slot["position"] as? String)
        // Epoch, sequence and log hash: what is printed is taken again.
        #expect(position.split(separator: ":").count == 3)
        #expect(try ctl("slots", "ack", "late", position).status == 0)
    }

    @Test func whatIsRefusedSaysWhyAndChangesNothing() throws {
        #expect(try ctl("slots", "create", "a").status == 0)
        let before = try ctl("slots").output

        #expect(try ctl("slots", "create", "a").status == 1)
        #expect(try ctl("slots", "create", "a/b").status == 1)
        #expect(try ctl("slots", "create", "b", "--after", "99").status == 5)
        #expect(try ctl("slots", "drop", "z").status == 1)
        #expect(try ctl("slots", "ack", "z", "0-0000000000000000:1").status == 1)
        #expect(try ctl("slots", "ack", "a", "nonsense").errors.contains("no position"))
        #expect(try ctl("slots", "ack", "a", "0-0000000000000000:1").status == 1)
        #expect(try ctl("slots").output == before)
        #expect(try ctl("slots", store: ctl.scratch.path + "/none").status == 5)
    }
}
