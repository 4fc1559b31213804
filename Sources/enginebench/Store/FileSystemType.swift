internal import CEngineSystem

/// The file system that holds a path.
struct FileSystemType: Equatable, Sendable {
    let magic: Int64

    init(of path: String) { magic = unsafe csystem_file_system_type(path) }

    /// With `orParent`, a path that is not there yet stands for the directory that is to hold it.
    init(of path: String, orParent: Bool) {
        self.init(of: path)
        guard magic < 0, orParent else { return }
        let end = path.lastIndex(of: "/")
        self.init(of: end.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? ".")
    }

    static let tmpfsMagic: Int64 = 0x0102_1994

    /// Whether files there never reach a disk.
    var isMemory: Bool { magic == Self.tmpfsMagic }

    var name: String {
        switch magic {
        case 0xef53: "ext4"
        case 0x5846_5342: "xfs"
        case 0x9123_683e: "btrfs"
        case 0xf2f5_2010: "f2fs"
        case 0x2fc1_2fc1: "zfs"
        case 0x794c_7630: "overlayfs"
        case 0x6969: "nfs"
        case Self.tmpfsMagic: "tmpfs"
        case ..<0: "unknown"
        default: "0x" + String(magic, radix: 16)
        }
    }
}
