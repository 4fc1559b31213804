internal import Glibc
internal import ToolSupport

@main
enum Main {
    static func main() { exit(runTool(EngineDump.self).rawValue) }
}
