import Glibc
import ToolSupport

@main
struct Main {
    static func main() { exit(runTool(EngineDrill.self).rawValue) }
}
