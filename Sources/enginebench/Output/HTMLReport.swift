internal import Glibc

struct HTMLReport {
    init(_ a: SettingsList, _ b: [Figures], _ c: [ProbeComparison]) {}
    func write(to path: String) throws {}
}
