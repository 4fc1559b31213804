internal import Glibc
internal import ToolSupport

@main
struct Main {
    static func main() { exit(runTool(EngineCtl.self).rawValue) }
}
