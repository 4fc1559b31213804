internal import ArgumentParser
internal import ToolSupport

struct EngineDump: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enginedump",
        abstract: "Shows the files of a store, whole or damaged.",
        discussion: """
            Examples:
              enginedump wal /var/lib/store
              enginedump wal /var/lib/store --check
              enginedump segment /var/lib/store/0000000007.segment --blocks
              enginedump db /var/lib/store --check
              enginedump find /var/lib/store user:1
              enginedump diff /var/lib/store /var/lib/copy

            It reads files: it never opens the engine, never locks and never writes to a store,
            and works beside a running engine. Exit status: 0 ok, 1 usage, 2 damage, 3 a log file
            is missing or stores differ, 4 input or output, 6 key not found.
            """,
        version: toolVersion,
        subcommands: [
            Wal.self, SegmentCommand.self, ManifestCommand.self, Db.self, Find.self, Tree.self,
            Diff.self,
        ]
    )
}
