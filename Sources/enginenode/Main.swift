internal import Glibc
internal import ToolSupport

@main
struct Main {
    static func main() { exit(runTool(EngineNodeTool.self).rawValue) }
}
